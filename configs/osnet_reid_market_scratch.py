"""OSNet x1.0 on Market-1501 from random weights, the paper's recipe (section 4.1).

    mmosnet train osnet_reid_market_scratch

Paper, from scratch, as reported: Rank-1 93.6, mAP 81.0. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/market1501.py',
    './_base_/schedules/sgd_step_350e.py',
    './_base_/default_runtime.py',
]

# Flip, enlarge and cut out, random patch: the order of the released code.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:-1],
            dict(type='mmosnet.Random2DTranslation', prob=0.5),
            dict(type='mmosnet.RandomPatch', prob=0.5),
            _base_.train_pipeline[-1],
        ]
    )
)
