"""Makes our configs known to ``mmpretrain.get_model`` and ``list_models``, by the index that mim reads too."""

from __future__ import annotations

from pathlib import Path

# Where mim looks in every OpenMMLab package: links to configs/, tools/ and model-index.yml of the repository, files
# in a wheel.
INDEX_FOLDER = Path(__file__).parent / '.mim'


def register_models() -> None:
    """Register the models of ``model-index.yml``, once. Needs mmpretrain.

    Does nothing where the links were lost, as in a checkout on Windows without symbolic links: configs still work by
    their path.
    """
    from mmpretrain.apis.model import ModelHub

    # The hub refuses a name that it has, and a reload of the package is no error.
    if (INDEX_FOLDER / 'configs').is_dir() and not ModelHub.has('osnet-x1.0_reid-market1501'):
        ModelHub.register_model_index(INDEX_FOLDER / 'model-index.yml', config_prefix=INDEX_FOLDER)
