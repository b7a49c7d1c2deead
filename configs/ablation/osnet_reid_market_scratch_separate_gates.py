"""Ablation, an aggregation gate of its own for every stream.

    mmosnet train osnet_reid_market_scratch_separate_gates

Paper, from scratch, as reported: Rank-1 92.9, mAP 80.2. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(fusion='separate_gates'))
