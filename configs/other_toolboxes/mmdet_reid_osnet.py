"""mmdet: OSNet x1.0 as the appearance model of mmdet's trackers (DeepSORT, StrongSORT), trained on MOT17's crops.

    python tools/train.py configs/other_toolboxes/mmdet_reid_osnet.py

tools/train.py is mmdet's. mmdet's reid_r50_8xb32-6e_mot17train80_test-mot17val20 with another backbone. Needs
data/MOT17/reid, written by mmdet's tools/dataset_converters/mot2reid.py, and the authors' ImageNet
weights. For the benchmarks of re-identification use our own configs: mmdet's metric has neither cameras nor a query
set.

No published figure; run by us on drawn people only, see README.md.
"""

default_scope = 'mmdet'
custom_imports = dict(imports=['mmosnet'])

model = dict(
    type='BaseReID',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    ),
    backbone=dict(
        type='OSNet',
        # From random weights, delete this line.
        init_cfg=dict(type='Pretrained', checkpoint='torchreid://osnet_x1_0_imagenet'),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearReIDHead',
        num_fcs=1,
        in_channels=512,
        fc_channels=512,
        out_channels=128,
        num_classes=380,
        loss_cls=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),
        loss_triplet=dict(type='TripletLoss', margin=0.3, loss_weight=1.0),
        norm_cfg=dict(type='BN1d'),
        act_cfg=dict(type='ReLU'),
    ),
)

data_root = 'data/MOT17/'
# Resized by Pillow, as the authors' weights were trained; that takes bytes, and mmdet's preprocessor makes floats.
train_pipeline = [
    dict(
        type='TransformBroadcaster',
        share_random_params=False,
        transforms=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(128, 256), keep_ratio=False, clip_object_border=False, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackReIDInputs', meta_keys=('flip', 'flip_direction')),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 256), keep_ratio=False, backend='pillow'),
    dict(type='PackReIDInputs'),
]
train_dataloader = dict(
    # One item is a batch already: 8 people with 4 images each.
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ReIDDataset',
        data_root=data_root,
        triplet_sampler=dict(num_ids=8, ins_per_id=4),
        data_prefix=dict(img_path='reid/imgs'),
        ann_file='reid/meta/train_80.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ReIDDataset',
        data_root=data_root,
        triplet_sampler=None,
        data_prefix=dict(img_path='reid/imgs'),
        ann_file='reid/meta/val_20.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ReIDMetrics', metric=['mAP', 'CMC'])
test_evaluator = val_evaluator

# mmdet's 0.1 is for 8 GPUs with 32 images.
optim_wrapper = dict(
    type='OptimWrapper', clip_grad=None, optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=6, by_epoch=True, milestones=[5], gamma=0.1),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=6, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# In items of the loader, 8 GPUs with one.
auto_scale_lr = dict(enable=False, base_batch_size=8)

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(
        type='mmosnet.CheckpointHook', interval=1, max_keep_ckpts=2, save_best='reid-metric/mAP', rule='greater'
    ),
)
# Several processes: average the batch statistics, so that all evaluate what the checkpoint holds.
custom_hooks = [dict(type='SyncBuffersHook')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
