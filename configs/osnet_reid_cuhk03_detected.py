"""OSNet x1.0 on CUHK03, new protocol, detected boxes, fine-tuned from ImageNet weights: cosine schedule, erasing.

    python tools/train.py configs/osnet_reid_cuhk03_detected.py

Paper, ImageNet initialisation, as reported: Rank-1 72.3, mAP 67.8. Not yet run by us: needs the data set.
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

# Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, filled with the mean: BGR, as images are loaded.
erasing = dict(
    type='RandomErasing',
    erase_prob=0.5,
    min_area_ratio=0.02,
    max_area_ratio=0.4,
    aspect_range=(0.3, 1 / 0.3),
    mode='const',
    fill_color=(103.53, 116.28, 123.675),
)
train_dataloader = dict(dataset=dict(pipeline=[*_base_.train_pipeline[:-1], erasing, _base_.train_pipeline[-1]]))
