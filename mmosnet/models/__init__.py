from mmosnet.models.attribute_head import AttributeHead
from mmosnet.models.embedded_weights import load_from_embedded
from mmosnet.models.joint_head import JointHead
from mmosnet.models.osnet import OSNet
from mmosnet.models.pooled_linear_neck import PooledLinearNeck
from mmosnet.models.reid_head import ReIDHead
from mmosnet.models.released_files import load_from_torchreid
from mmosnet.models.triplet_loss import TripletLoss
from mmosnet.models.weighted_bce_loss import WeightedBCELoss

__all__ = [
    'AttributeHead',
    'JointHead',
    'OSNet',
    'PooledLinearNeck',
    'ReIDHead',
    'TripletLoss',
    'WeightedBCELoss',
    'load_from_embedded',
    'load_from_torchreid',
]
