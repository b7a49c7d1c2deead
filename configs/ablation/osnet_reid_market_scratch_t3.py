"""Ablation, T = 3 streams, 3, 5 and 7 pixels wide.

    mmosnet train osnet_reid_market_scratch_t3

Paper, from scratch, as reported: Rank-1 92.8, mAP 79.9. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(num_streams=3))
