"""Ablation, T = 2 streams, 3 and 5 pixels wide.

    python tools/train.py configs/ablation/osnet_reid_market_scratch_t2.py

Paper, from scratch, as reported: Rank-1 91.7, mAP 77.0. Not yet run by us: needs the data set.
"""

_base_ = '../osnet_reid_market_scratch.py'

model = dict(backbone=dict(num_streams=2))
