"""Video re-identification on drawn tracklets: OSNet x0.25 on a CPU. Makes its data on first use.

    mmosnet train osnet_video_reid_synthetic

Trains on 2 random frames of each tracklet, frame by frame, and tests on all frames. A tracklet is read in clips of 16
frames, which the metric joins, so that memory does not grow with its length. One frame per tracklet instead of all:

    mmosnet test osnet_video_reid_synthetic CHECKPOINT --cfg-options \\
        test_dataloader.dataset.pipeline.0.sampling=random test_dataloader.dataset.pipeline.0.num_frames=1

Measured on a 2-core CPU, synthetic data, seed 0: mAP 0.673, Rank-1 0.660 after 20 epochs, 2 minutes of processor time;
with one random frame per tracklet mAP 0.427, Rank-1 0.394.
"""

_base_ = [
    './_base_/models/osnet_video_reid.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/default_runtime.py',
]

model = dict(backbone=dict(widen_factor=0.25), neck=dict(in_channels=128), head=dict(num_classes=100))

max_epochs = 20
data_root = 'data/synthetic_tracklets'
packing = dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split', 'tracklet', 'clip'))
train_pipeline = [
    dict(
        type='mmosnet.TrackletFrames',
        num_frames=2,
        sampling='random',
        transforms=[
            dict(type='mmosnet.LoadPersonImage'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='mmosnet.Random2DTranslation', prob=0.5),
        ],
    ),
    packing,
]
# Drawn crops have this size already; crops of real people are resized to it.
test_pipeline = [
    dict(
        type='mmosnet.TrackletFrames',
        sampling='dense',
        transforms=[
            dict(type='mmosnet.LoadPersonImage'),
            dict(type='Resize', scale=(64, 128), interpolation='bilinear', backend='pillow'),
        ],
    ),
    packing,
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # Tracklets of a batch may differ in the number of frames.
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(type='mmosnet.SyntheticTracklets', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='mmosnet.SyntheticTracklets',
        data_root=data_root,
        split=('query', 'gallery'),
        test_mode=True,
        clip_length=16,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmosnet.ReIDMetric', distance='euclidean')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(optimizer=dict(lr=0.005))
param_scheduler = dict(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
auto_scale_lr = dict(base_batch_size=16)
