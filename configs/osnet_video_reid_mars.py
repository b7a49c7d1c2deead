"""OSNet x1.0 on the tracklets of MARS, fine-tuned from ImageNet weights, tested under the official protocol.

    mmosnet train osnet_video_reid_mars

Needs MARS in data/mars (bbox_train, bbox_test, info) and the released file osnet_x1_0_imagenet.pth in checkpoints/. The
released code's recipe for images is used on 16 tracklets of 4 random frames; 60 epochs for 150 are ours, because an
epoch has two and a half times as many images as that of Market-1501. A test takes all frames and averages them.

The gallery holds all tracklets, those of the queries too, and mAP is computed by trapezoids, as in the authors' code.
osnet_video_reid_mars_torchreid.py tests the same checkpoint under the other protocol.

We know of no published result of OSNet on MARS. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_video_reid.py',
    './_base_/datasets/mars.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=625))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=5)]

val_dataloader = dict(dataset=dict(protocol='official'))
test_dataloader = val_dataloader

param_scheduler = dict(step_size=25, end=60)
train_cfg = dict(max_epochs=60)
# Tracklets.
auto_scale_lr = dict(base_batch_size=16)
