from mmosnet.datasets.market1501 import Market1501
from mmosnet.datasets.person_image import LoadPersonImage
from mmosnet.datasets.pk_sampler import PKSampler
from mmosnet.datasets.reid_dataset import ReIDDataset
from mmosnet.datasets.synthetic_people import SyntheticPeople
from mmosnet.datasets.transforms import Random2DTranslation, RandomPatch

__all__ = [
    'LoadPersonImage',
    'Market1501',
    'PKSampler',
    'Random2DTranslation',
    'RandomPatch',
    'ReIDDataset',
    'SyntheticPeople',
]
