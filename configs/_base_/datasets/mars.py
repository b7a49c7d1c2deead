# MARS at 256x128 under its official protocol, flip only: training on 4 random frames of 16 tracklets, tests on all
# frames of each tracklet, in clips that the metric joins.
data_root = 'data/mars'

train_pipeline = [
    dict(
        type='mmosnet.TrackletFrames',
        num_frames=4,
        sampling='random',
        transforms=[
            dict(type='mmosnet.LoadPersonImage'),
            dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split', 'tracklet')),
]
test_pipeline = [
    dict(
        type='mmosnet.TrackletFrames',
        sampling='dense',
        transforms=[
            dict(type='mmosnet.LoadPersonImage'),
            dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
        ],
    ),
    dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split', 'tracklet', 'clip')),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(type='mmosnet.MARS', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    # Clips of at most 16 frames: 128 images.
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # The last clip of a tracklet is shorter.
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='mmosnet.MARS',
        data_root=data_root,
        split=('query', 'gallery'),
        test_mode=True,
        clip_length=16,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmosnet.ReIDMetric', distance='euclidean', average_precision='trapezoid')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
