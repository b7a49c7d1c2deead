"""OSNet x1.0 on DukeMTMC-reID from random weights, the paper's recipe (section 4.1).

    python tools/train.py configs/osnet_reid_duke_scratch.py

Paper, from scratch, as reported: Rank-1 84.7, mAP 68.6. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/dukemtmc.py',
    './_base_/schedules/sgd_step_350e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=702))

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
