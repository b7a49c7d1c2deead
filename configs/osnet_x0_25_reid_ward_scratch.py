"""OSNet x0.25 on WARD from random weights, in minutes on a CPU: real people, 35 for training, 3 cameras.

    mmosnet train osnet_x0_25_reid_ward_scratch --data-root FOLDER

WARD (Martinel and Micheloni, CVPRW 2012) in Market-1501's layout: six evenly spaced images per person and camera,
persons 1-35 in bounding_box_train, persons 36-70 in query (one image a person and camera) and bounding_box_test.

Measured with OMP_NUM_THREADS=1 after 40 epochs: mAP 0.325, 0.252, 0.324 and Rank-1 0.362, 0.248, 0.362 for seeds 0, 1
and 2; their means are mAP 0.300, Rank-1 0.324.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/market1501.py',
    './_base_/schedules/amsgrad_cosine_250e.py',
    './_base_/default_runtime.py',
]

model = dict(backbone=dict(widen_factor=0.25), neck=dict(in_channels=128), head=dict(num_classes=35))

data_root = 'data/ward'
# In Market-1501's layout, not of its size.
source = dict(data_root=data_root, check_counts=False)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=source)
val_dataloader = dict(num_workers=1, dataset=source)
test_dataloader = val_dataloader
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator

param_scheduler = dict(T_max=40, end=40)
train_cfg = dict(max_epochs=40, val_interval=20)
auto_scale_lr = dict(base_batch_size=32)
