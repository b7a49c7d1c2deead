"""OSNet x1.0 on Market-1501: identities and attributes from one backbone and one forward pass.

    mmosnet train osnet_multitask_market

Needs market_attribute.mat (Lin et al., "Improving Person Re-identification by Attribute and Identity Learning", 2019)
in data/market1501 beside the images. Distractors have no attributes: they count in the gallery alone.

The re-identification recipe of osnet_reid_market.py with an attribute head beside; ours, no published figure. Not yet
run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/market1501.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(
    head=dict(
        _delete_=True,
        type='mmosnet.JointHead',
        heads=dict(
            reid=dict(
                type='mmosnet.ReIDHead',
                num_classes=751,
                in_channels=512,
                loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            ),
            # 27 fields of the file; age is a choice of four.
            attributes=dict(type='mmosnet.AttributeHead', num_classes=30, in_channels=512),
        ),
        # The attribute loss is a mean over attributes, about 0.7 at the start where that of 751 identities is 6.6: 1
        # leaves the lead to the identities.
        loss_weights=dict(reid=1.0, attributes=1.0),
    )
)

tasks = dict(reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',))
labels = dict(attributes='market_attribute.mat')
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.train_pipeline[:-1], dict(type='mmosnet.PackTasks', tasks=tasks)], **labels)
)
val_dataloader = dict(
    dataset=dict(pipeline=[*_base_.test_pipeline[:-1], dict(type='mmosnet.PackTasks', tasks=tasks)], **labels)
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='mmosnet.TaskEvaluator',
    metrics=dict(reid=dict(type='mmosnet.ReIDMetric'), attributes=dict(type='mmosnet.AttributeMetric')),
)
test_evaluator = val_evaluator

load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='mmosnet.PosRatioHook'),
    # Both heads are new.
    dict(type='mmosnet.BaseFreezeHook', num_epochs=10, trainable=('head',)),
]
