"""OSNet x0.75 on Market-1501, fine-tuned from ImageNet weights; recipe of x1.0.

    mmosnet train osnet_x0_75_reid_market

Model zoo of the released code, as reported: Rank-1 93.7, mAP 81.2. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market.py'

model = dict(backbone=dict(widen_factor=0.75), neck=dict(in_channels=384))
load_from = 'torchreid://osnet_x0_75_imagenet'
