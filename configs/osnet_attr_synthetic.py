"""The demo of attributes: OSNet x0.25 learns 26 attributes of drawn people on a CPU. Makes its data on first use.

    mmosnet train osnet_attr_synthetic

400 people in 4 pictures each: attributes are learnt from many people, identities from many pictures. The 100 people of
osnet_reid_synthetic.py, in as many pictures, are too few: mA 0.59 on test, with batch 32.

The epoch is chosen on val and reported on test when training ends; another one by:

    mmosnet test osnet_attr_synthetic work_dirs/osnet_attr_synthetic/best_attributes_mA_epoch_N.pth

Measured with OMP_NUM_THREADS=1, synthetic data, seed 0: mA 0.655, F1 0.600 on test, the epoch (20 of 25) chosen on val.
"""

_base_ = [
    './_base_/models/osnet_attr.py',
    './_base_/datasets/pa100k.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/attribute_runtime.py',
]

model = dict(backbone=dict(widen_factor=0.25), neck=dict(in_channels=128, pooling='max'))

max_epochs = 25
people = dict(
    type='mmosnet.SyntheticAttributes',
    data_root='data/synthetic_attributes',
    generation=dict(
        num_train_pids=400, num_test_pids=100, num_cameras=2, images_per_camera=2, num_distractors=0, num_junk=0
    ),
)
train_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='mmosnet.Random2DTranslation', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# Drawn crops have this size already; crops of real people are resized to it.
test_pipeline = [
    dict(type='mmosnet.LoadPersonImage'),
    dict(type='Resize', scale=(64, 128), interpolation='bilinear', backend='pillow'),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(pipeline=train_pipeline, **people))
# Half of the test people each.
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline, **people))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline, **people))

param_scheduler = dict(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
auto_scale_lr = dict(base_batch_size=16)
