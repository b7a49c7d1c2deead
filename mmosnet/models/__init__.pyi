# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.models.heads import AttributeHead as AttributeHead
from mmosnet.models.heads import JointHead as JointHead
from mmosnet.models.heads import PooledLinearNeck as PooledLinearNeck
from mmosnet.models.heads import ReIDHead as ReIDHead
from mmosnet.models.losses import TripletLoss as TripletLoss
from mmosnet.models.losses import WeightedBCELoss as WeightedBCELoss
from mmosnet.models.osnet import OSNet as OSNet
from mmosnet.models.torchreid import load_from_torchreid as load_from_torchreid
from mmosnet.models.tracklets import TrackletHead as TrackletHead
from mmosnet.models.tracklets import TrackletPreprocessor as TrackletPreprocessor
from mmosnet.models.weights import load_from_embedded as load_from_embedded
