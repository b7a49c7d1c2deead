from mmosnet.models.joint_head import JointHead
from mmosnet.models.osnet import OSNet
from mmosnet.models.reid_head import ReIDHead
from mmosnet.models.released_files import load_from_torchreid
from mmosnet.models.triplet_loss import TripletLoss

__all__ = ['JointHead', 'OSNet', 'ReIDHead', 'TripletLoss', 'load_from_torchreid']
