# ImageNet-1k at 224x224: random-resized crop and mirror; the central crop of 256 in testing (paper, as reported).
data_root = 'data/imagenet'

# Pillow, because it averages when it shrinks; OpenCV's bilinear interpolation skips pixels.
train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.08, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    # Batch size per process: 8 processes make the recipe's 1024.
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    # A last batch of one image has no batch statistics.
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.ImageNet', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmosnet.ImageNet', data_root=data_root, split='val', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='mmosnet.CategoryMetric', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
