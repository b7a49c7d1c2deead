"""OSNet x1.0 on MSMT17, fine-tuned from ImageNet weights with the released code's recipe.

    mmosnet train osnet_reid_msmt17

Model zoo of the released code, as reported: Rank-1 74.9, mAP 43.8. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/msmt17.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=1041))
load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]
