"""OSNet x1.0 on the tracklets of PRID2011: fine-tuned from ImageNet weights, the mean of 10 divisions.

    mmosnet train-splits osnet_video_reid_prid2011

Needs PRID2011 in data/prid2011 (prid_2011 with multi_shot, splits_prid2011.json) and the released file
osnet_x1_0_imagenet.pth in checkpoints/. Without splits_prid2011.json, random halves of 100 people are used (set
model.head.num_classes=100), and results do not compare. "mmosnet train" trains the first division alone. The recipe is
osnet_video_reid_mars.py's with the released code's 150 epochs.

We know of no published result of OSNet on PRID2011. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_video_reid.py',
    './_base_/datasets/prid2011.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=89))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

# Tracklets.
auto_scale_lr = dict(base_batch_size=16)
