"""Ablation, T = 2 streams, 3 and 5 pixels wide.

    mmosnet train osnet_reid_market_scratch_t2

Paper, from scratch, as reported: Rank-1 91.7, mAP 77.0. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(num_streams=2))
