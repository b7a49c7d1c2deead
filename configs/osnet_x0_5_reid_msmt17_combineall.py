"""OSNet x0.5 trained on everybody in MSMT17 to be used elsewhere; recipe of osnet_reid_msmt17_combineall.py.

    mmosnet train osnet_x0_5_reid_msmt17_combineall

Model zoo of the released code, tested on Market-1501, as reported: Rank-1 64.3, mAP 34.9. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_reid_msmt17_combineall.py'

model = dict(backbone=dict(widen_factor=0.5), neck=dict(in_channels=256))
load_from = 'torchreid://osnet_x0_5_imagenet'
