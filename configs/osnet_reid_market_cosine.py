"""OSNet x1.0 on Market-1501, the strongest recipe of the released code: cosine schedule, flip and random erasing.

    mmosnet train osnet_reid_market_cosine

Paper, ImageNet initialization, as reported: Rank-1 94.8, mAP 84.9. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/market1501.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/default_runtime.py',
]

load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

erasing = dict(type='mmosnet.RandomErasing', prob=0.5)
train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_pipeline[:-1], erasing, _base_.train_pipeline[-1]]))
