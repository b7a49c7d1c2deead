"""OSNet x1.0 on the tracklets of iLIDS-VID: fine-tuned from ImageNet weights, the mean of 10 official divisions.

    mmosnet train-splits osnet_video_reid_ilidsvid

Needs iLIDS-VID in data/ilids-vid (i-LIDS-VID, "train-test people splits") and the released file
osnet_x1_0_imagenet.pth in checkpoints/. "mmosnet train" trains the first division alone. The recipe is
osnet_video_reid_mars.py's with the released code's 150 epochs.

We know of no published result of OSNet on iLIDS-VID. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_video_reid.py',
    './_base_/datasets/ilids_vid.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=150))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

# Tracklets.
auto_scale_lr = dict(base_batch_size=16)
