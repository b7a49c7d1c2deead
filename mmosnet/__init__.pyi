# The public names, by package; mmosnet/lazy_import.py reads them here.
from mmosnet.compatibility import allow_package_bases as allow_package_bases
from mmosnet.datasets import *  # noqa: F403
from mmosnet.engine import *  # noqa: F403
from mmosnet.evaluation import *  # noqa: F403
from mmosnet.frames import Embedder as Embedder
from mmosnet.gallery.people import People as People
from mmosnet.gallery.people_input import Sighting as Sighting
from mmosnet.models import *  # noqa: F403
from mmosnet.synthetic import *  # noqa: F403
from mmosnet.trackers import AppearanceTracker as AppearanceTracker

__version__: str
WITHOUT_TORCH: tuple[str, ...]
