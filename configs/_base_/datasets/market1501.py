# Market-1501 at 256x128, flip only.
data_root = 'data/market1501'

train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split')),
]
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split')),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    # A last batch of one image has no batch statistics.
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.Market1501', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mmosnet.Market1501',
        data_root=data_root,
        split=('query', 'gallery'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmosnet.ReIDMetric', distance='euclidean')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
