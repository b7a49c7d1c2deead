"""Ablation, full 3x3 convolutions in place of Lite 3x3.

    mmosnet train osnet_reid_market_scratch_full_conv

Paper, from scratch, as reported: Rank-1 94.0, mAP 82.7. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(lite=False))
