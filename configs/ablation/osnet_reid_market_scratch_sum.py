"""Ablation, the plain sum of the streams.

    mmosnet train osnet_reid_market_scratch_sum

Paper, from scratch, as reported: Rank-1 92.0, mAP 78.2. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(fusion='sum'))
