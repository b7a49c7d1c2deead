"""OSNet x0.75 trained on everybody in MSMT17 to be used elsewhere; recipe of osnet_reid_msmt17_combineall.py.

    mmosnet train osnet_x0_75_reid_msmt17_combineall

Model zoo of the released code, tested on Market-1501, as reported: Rank-1 63.6, mAP 35.5. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_reid_msmt17_combineall.py'

model = dict(backbone=dict(widen_factor=0.75), neck=dict(in_channels=384))
load_from = 'torchreid://osnet_x0_75_imagenet'
