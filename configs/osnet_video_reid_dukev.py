"""OSNet x1.0 on the tracklets of DukeMTMC-VideoReID, fine-tuned from ImageNet weights.

    mmosnet train osnet_video_reid_dukev

Needs DukeMTMC-VideoReID in data/dukemtmc-vidreid and the released file osnet_x1_0_imagenet.pth in checkpoints/. The
recipe is osnet_video_reid_mars.py's with the released code's 150 epochs. The data set was withdrawn by its authors.

We know of no published result of OSNet on DukeMTMC-VideoReID. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_video_reid.py',
    './_base_/datasets/dukemtmc_video.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=702))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

# Tracklets.
auto_scale_lr = dict(base_batch_size=16)
