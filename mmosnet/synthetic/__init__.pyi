# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.synthetic.datasets import SyntheticAttributes as SyntheticAttributes
from mmosnet.synthetic.datasets import SyntheticObjects as SyntheticObjects
from mmosnet.synthetic.datasets import SyntheticPeople as SyntheticPeople
from mmosnet.synthetic.scenes import draw_scene as draw_scene
from mmosnet.synthetic.tracklets import SyntheticTracklets as SyntheticTracklets
