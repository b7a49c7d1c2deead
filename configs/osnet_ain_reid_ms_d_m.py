"""OSNet-AIN x1.0 trained on MSMT17, DukeMTMC-reID and Market-1501, tested on CUHK03.

    mmosnet train osnet_ain_reid_ms_d_m

Model zoo of the released code, tested on CUHK03 with cosine distance, as reported: Rank-1 27.4, mAP 27.1. Not yet run
by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_ms_d_m.py'

model = dict(backbone=dict(arch='osnet_ain'))
load_from = 'torchreid://osnet_ain_x1_0_imagenet'
