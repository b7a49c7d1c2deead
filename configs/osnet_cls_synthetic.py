"""The demo of classification: OSNet x0.25 learns twelve categories of drawn objects on a CPU. Makes its own data.

    mmosnet train osnet_cls_synthetic

64x64 pixels, 1,800 training and 480 validation images. The checkpoint starts re-identification, as that of any
classification config does: osnet_reid_synthetic.py with --cfg-options load_from=work_dirs/NAME/epoch_40.pth.

Measured on a 2-core CPU with OMP_NUM_THREADS=1, synthetic data, seed 0: top-1 80.6, top-5 97.5 after 40 epochs, 4
minutes of CPU time in all; by chance top-1 8.3.
"""

_base_ = [
    './_base_/models/osnet_cls.py',
    './_base_/datasets/imagenet.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/cls_runtime.py',
]

model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=128),
    # 40 epochs of a small network: nothing to smooth yet.
    head=dict(num_classes=12, loss=dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1.0)),
)

max_epochs = 40
data_root = 'data/synthetic_objects'
train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='RandomCrop', crop_size=64, padding=6, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# Drawn objects have this size already; other images are resized to it.
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=64, interpolation='bilinear', backend='pillow'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(type='mmosnet.SyntheticObjects', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(type='mmosnet.SyntheticObjects', data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

# Chosen by trials of 20 epochs: SGD 0.05 and the decay 5e-4 of fine-tuning learn more slowly.
optim_wrapper = dict(optimizer=dict(lr=0.004, weight_decay=1e-4))
param_scheduler = dict(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
