"""OSNet x0.25 on ImageNet-1k from random weights; the recipe of x1.0, ours, with the least regularisation.

    mmosnet train osnet_x0_25_cls_imagenet --amp
    torchrun --nproc_per_node 8 -m mmosnet train osnet_x0_25_cls_imagenet --launcher pytorch --amp

Paper, as reported: top-1 58.6. Not yet run by us: needs the data set.
"""

_base_ = './osnet_cls_imagenet.py'

# 513,000 of the 714,864 weights are the classifier's: features of 134,792 weights cannot overfit. No smoothing.
model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=128),
    head=dict(loss=dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1.0)),
)

# From a quarter of the image on, half its side.
train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.25, 1.0), backend='pillow'),
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# Half of x1.0's decay: enough for the classifier.
optim_wrapper = dict(optimizer=dict(weight_decay=2e-5))
