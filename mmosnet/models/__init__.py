from mmosnet.models import torchreid_weights as _torchreid_weights  # registers torchreid://
from mmosnet.models.osnet import OSNet
from mmosnet.models.reid_head import ReIDHead
from mmosnet.models.triplet_loss import TripletLoss

__all__ = ['OSNet', 'ReIDHead', 'TripletLoss']
