"""Ablation, T = 1: a single stream, 3 pixels wide, and nothing to weigh (the paper names no gate here).

    mmosnet train osnet_reid_market_scratch_t1

Paper, from scratch, as reported: Rank-1 86.5, mAP 67.7. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(num_streams=1, fusion='sum'))
