"""Ablation, streams side by side, mixed by the last 1x1 convolution.

    mmosnet train osnet_reid_market_scratch_concat

Paper, from scratch, as reported: Rank-1 91.4, mAP 77.4. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(fusion='concat'))
