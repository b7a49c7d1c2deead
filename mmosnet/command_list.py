"""What can be done with mmosnet: jobs, the command of each, the page that explains it; and the optional packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Something that people want to do.

    Attributes:
        title: Name of the job.
        command: Command to type in the project's folder; capitals stand for the user's own values.
        page: Page below ``docs/`` that explains it.
    """

    title: str
    command: str
    page: str


JOBS = (
    Job('see it work, without data', 'python tools/train.py configs/osnet_reid_synthetic.py', 'getting_started.md'),
    Job('check my data', 'python tools/check_data.py CONFIG --data-root FOLDER', 'own_data.md'),
    Job('train', 'python tools/train.py CONFIG', 'getting_started.md'),
    Job('train on several GPUs', 'bash tools/dist_train.sh CONFIG 4', 'getting_started.md'),
    Job('train on a Slurm cluster', 'bash tools/slurm_train.sh PARTITION JOB CONFIG', 'getting_started.md'),
    Job('evaluate', 'python tools/test.py CONFIG CHECKPOINT', 'protocols.md'),
    Job('evaluate on several GPUs', 'bash tools/dist_test.sh CONFIG CHECKPOINT 4', 'protocols.md'),
    Job('train and test all splits', 'python tools/train_splits.py CONFIG', 'protocols.md'),
    Job('identities, attributes, categories', 'python tools/infer.py MODEL CHECKPOINT IMAGES', 'getting_started.md'),
    Job('use torchreid weights, or the way back', 'python tools/convert_torchreid.py SRC DST', 'from_torchreid.md'),
    Job('export: ONNX, OpenVINO, TorchScript', 'python tools/export.py MODEL CHECKPOINT', 'deployment.md'),
    Job('what exporting costs, in tables', 'python tools/export_table.py parity', 'deployment.md'),
    Job('features of images and videos', 'python tools/extract.py MODEL CHECKPOINT INPUT --out FOLDER', 'features.md'),
    Job('make a gallery of features', 'python tools/gallery.py create GALLERY FOLDER', 'gallery.md'),
    Job('choose a distance threshold', 'python tools/calibrate.py FOLDER --gallery GALLERY', 'gallery.md'),
    Job('search a gallery', 'python tools/search.py MODEL CHECKPOINT GALLERY IMAGE', 'gallery.md'),
    Job('try it in a browser', 'python tools/demo.py', 'demo.md'),
    Job('look inside', 'python tools/visualize.py --help', 'visualize.md'),
    Job('count parameters and mult-adds', 'python tools/complexity.py CONFIG', 'extending.md'),
    Job("the paper's ablation on my data", 'python tools/ablation.py CONFIG', 'extending.md'),
    Job('measure the speed', 'python tools/benchmark.py --list', 'benchmarks.md'),
)

#: Optional packages by extra: ``pip install 'mmosnet[EXTRA]'``. As setup.cfg has them.
EXTRAS = {
    'weights': ('huggingface_hub',),
    'matlab': ('h5py',),
    'onnx': ('onnx', 'onnxruntime'),
    'openvino': ('onnx', 'openvino', 'nncf'),
    'gallery': ('faiss-cpu', 'pyarrow'),
    'milvus': ('pyarrow', 'pymilvus', 'milvus-lite'),
    'demo': ('faiss-cpu', 'gradio', 'pyarrow'),
}
