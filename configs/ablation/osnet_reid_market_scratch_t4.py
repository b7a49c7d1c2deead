"""Ablation, the primary model: T = 4 streams, unified aggregation gate.

    mmosnet train osnet_reid_market_scratch_t4

Paper, from scratch, as reported: Rank-1 93.6, mAP 81.0. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(num_streams=4, fusion='unified_gate'))
