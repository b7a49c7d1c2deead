# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.models.attribute_head import AttributeHead as AttributeHead
from mmosnet.models.embedded_weights import load_from_embedded as load_from_embedded
from mmosnet.models.joint_head import JointHead as JointHead
from mmosnet.models.osnet import OSNet as OSNet
from mmosnet.models.pooled_linear_neck import PooledLinearNeck as PooledLinearNeck
from mmosnet.models.reid_head import ReIDHead as ReIDHead
from mmosnet.models.released_files import load_from_torchreid as load_from_torchreid
from mmosnet.models.triplet_loss import TripletLoss as TripletLoss
from mmosnet.models.weighted_bce_loss import WeightedBCELoss as WeightedBCELoss
