"""OSNet x1.0 on CUHK03, new protocol, detected boxes, fine-tuned from ImageNet weights: cosine schedule, erasing.

    mmosnet train osnet_reid_cuhk03_detected

Paper, ImageNet initialization, as reported: Rank-1 72.3, mAP 67.8. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/cuhk03.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=767))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

erasing = dict(type='mmosnet.RandomErasing', prob=0.5)
train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_pipeline[:-1], erasing, _base_.train_pipeline[-1]]))
