"""The joint demo: OSNet x0.25 re-identifies drawn people, names their attributes, and names drawn objects.

    mmosnet train osnet_multitask_synthetic

One backbone, one forward pass, three heads. A batch mixes people, who have identities and attributes, and objects,
which have a category: every sample lacks some labels. Makes its data on first use.

Measured with OMP_NUM_THREADS=1, synthetic data, seed 0: mAP 0.733, Rank-1 0.905, mA 0.575, top-1 74.4 after 20 epochs.
These weights come with the package: mmosnet://osnet_x0_25_multitask_synthetic
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/default_runtime.py',
]

model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=128),
    head=dict(
        _delete_=True,
        type='mmosnet.JointHead',
        heads=dict(
            reid=dict(
                type='mmosnet.ReIDHead',
                num_classes=100,
                in_channels=512,
                loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
            ),
            attributes=dict(type='mmosnet.AttributeHead', num_classes=26, in_channels=512),
            category=dict(type='LinearClsHead', num_classes=12, in_channels=512, topk=(1,)),
        ),
        loss_weights=dict(reid=1.0, attributes=1.0, category=1.0),
    ),
)

max_epochs = 20
person_tasks = dict(reid=('pid', 'camid', 'split', 'gt_label'), attributes=('gt_score',))
object_tasks = dict(category=('gt_label',))
augmentation = [
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmosnet.Random2DTranslation', prob=0.5),
]
# Objects are drawn 64x64: stretched to the people's crops, as all images of a batch have one size. People are drawn in
# that size, and crops of real ones get it.
load_resized = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(64, 128), interpolation='bilinear', backend='pillow'),
]
people = dict(type='mmosnet.SyntheticPeople', data_root='synthetic_people', attributes=True)
objects = dict(type='mmosnet.SyntheticObjects', data_root='synthetic_objects')

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmosnet.JointDataset',
        data_root='data',
        datasets=dict(
            people=dict(
                split='train',
                pipeline=[
                    dict(type='mmosnet.LoadPersonImage'),
                    *augmentation,
                    dict(type='mmosnet.PackTasks', tasks=person_tasks),
                ],
                **people,
            ),
            objects=dict(
                split='train',
                pipeline=[*load_resized, *augmentation, dict(type='mmosnet.PackTasks', tasks=object_tasks)],
                **objects,
            ),
        ),
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmosnet.JointDataset',
        data_root='data',
        datasets=dict(
            people=dict(
                split=('query', 'gallery'),
                test_mode=True,
                pipeline=[*load_resized, dict(type='mmosnet.PackTasks', tasks=person_tasks)],
                **people,
            ),
            objects=dict(
                split='val',
                test_mode=True,
                pipeline=[*load_resized, dict(type='mmosnet.PackTasks', tasks=object_tasks)],
                **objects,
            ),
        ),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmosnet.TaskEvaluator',
    metrics=dict(
        reid=dict(type='mmosnet.ReIDMetric'),
        attributes=dict(type='mmosnet.AttributeMetric'),
        category=dict(type='mmosnet.CategoryMetric', topk=(1, 5)),
    ),
)
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()

param_scheduler = dict(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
auto_scale_lr = dict(base_batch_size=32)
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.PosRatioHook')]
