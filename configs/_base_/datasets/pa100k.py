# PA-100K at 256x128: trained on train, chosen on val, reported on test.
data_root = 'data/pa100k'

train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
    dict(type='mmosnet.Random2DTranslation', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    # A last batch of one image has no batch statistics.
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.PA100K', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.PA100K', data_root=data_root, split='val', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.PA100K', data_root=data_root, split='test', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='mmosnet.AttributeMetric')
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
