"""Ablation, an aggregation gate with one weight for a whole stream.

    mmosnet train osnet_reid_market_scratch_stream_gate

Paper, from scratch, as reported: Rank-1 92.6, mAP 80.0. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(fusion='stream_gate'))
