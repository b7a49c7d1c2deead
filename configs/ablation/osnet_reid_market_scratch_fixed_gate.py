"""Ablation, learned-and-fixed gates: channel weights that do not depend on the image.

    mmosnet train osnet_reid_market_scratch_fixed_gate

Paper, from scratch, as reported: Rank-1 91.6, mAP 77.5. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(fusion='fixed_gate'))
