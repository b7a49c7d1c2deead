from importlib.util import find_spec

# Without it the modules that read tables and annotation files are still of use.
if find_spec('torch') is not None:
    from mmosnet.datasets.attribute_dataset import AttributeDataset
    from mmosnet.datasets.attribute_table import AttributeTable
    from mmosnet.datasets.balanced_sampler import BalancedSampler
    from mmosnet.datasets.cifar import CIFAR10, CIFAR100
    from mmosnet.datasets.coco_person import CocoPerson
    from mmosnet.datasets.cuhk03 import CUHK03
    from mmosnet.datasets.dukemtmc import DukeMTMCreID
    from mmosnet.datasets.grid import GRID
    from mmosnet.datasets.imagenet import ImageNet
    from mmosnet.datasets.joint_dataset import JointDataset
    from mmosnet.datasets.market1501 import Market1501
    from mmosnet.datasets.market1501_attributes import Market1501Attributes
    from mmosnet.datasets.msmt17 import MSMT17
    from mmosnet.datasets.multi_source import MultiSource
    from mmosnet.datasets.pa100k import PA100K
    from mmosnet.datasets.pack_tasks import PackTasks
    from mmosnet.datasets.person_image import LoadPersonImage
    from mmosnet.datasets.peta import PETA
    from mmosnet.datasets.pk_sampler import PKSampler
    from mmosnet.datasets.rap import RAPv1
    from mmosnet.datasets.reid_dataset import ReIDDataset
    from mmosnet.datasets.reid_folder import ReIDFolder
    from mmosnet.datasets.reid_table import ReIDTable
    from mmosnet.datasets.synthetic_attributes import SyntheticAttributes
    from mmosnet.datasets.synthetic_objects import SyntheticObjects
    from mmosnet.datasets.synthetic_people import SyntheticPeople
    from mmosnet.datasets.transforms import Random2DTranslation, RandomErasing, RandomPatch
    from mmosnet.datasets.viper import VIPeR

    __all__ = [
        'CIFAR10',
        'CIFAR100',
        'CUHK03',
        'GRID',
        'MSMT17',
        'PA100K',
        'PETA',
        'AttributeDataset',
        'AttributeTable',
        'BalancedSampler',
        'CocoPerson',
        'DukeMTMCreID',
        'ImageNet',
        'JointDataset',
        'LoadPersonImage',
        'Market1501',
        'Market1501Attributes',
        'MultiSource',
        'PKSampler',
        'PackTasks',
        'RAPv1',
        'Random2DTranslation',
        'RandomErasing',
        'RandomPatch',
        'ReIDDataset',
        'ReIDFolder',
        'ReIDTable',
        'SyntheticAttributes',
        'SyntheticObjects',
        'SyntheticPeople',
        'VIPeR',
    ]
