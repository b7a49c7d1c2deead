"""OSNet x0.25 on Market-1501, fine-tuned from ImageNet weights; recipe of x0.5.

    mmosnet train osnet_x0_25_reid_market

Model zoo of the released code, as reported: Rank-1 91.2, mAP 75.0. Not yet run by us: needs the data set.
"""

_base_ = './osnet_x0_5_reid_market.py'

model = dict(backbone=dict(widen_factor=0.25), neck=dict(in_channels=128))
load_from = 'torchreid://osnet_x0_25_imagenet'
