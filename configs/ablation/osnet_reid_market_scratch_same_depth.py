"""Ablation, every stream as deep as the deepest, 9 pixels wide: one scale, four times.

    mmosnet train osnet_reid_market_scratch_same_depth

Paper, from scratch, as reported: Rank-1 91.7, mAP 77.9. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(same_depth=True))
