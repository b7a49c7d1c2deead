"""OSNet-AIN x1.0 trained on MSMT17, DukeMTMC-reID and CUHK03, tested on Market-1501.

    mmosnet train osnet_ain_reid_ms_d_c

Model zoo of the released code, tested on Market-1501 with cosine distance, as reported: Rank-1 73.3, mAP 45.8. Not
yet run by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_ms_d_c.py'

model = dict(backbone=dict(arch='osnet_ain'))
load_from = 'torchreid://osnet_ain_x1_0_imagenet'
