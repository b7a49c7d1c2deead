"""OSNet x1.0 on Market-1501, fine-tuned from ImageNet weights with the released code's recipe.

    mmosnet train osnet_reid_market

Needs Market-1501 in data/market1501 and the released file osnet_x1_0_imagenet.pth in checkpoints/; without the
weights train osnet_reid_market_scratch.py. The new classifier trains alone for the first 10 epochs.

Model zoo of the released code, as reported: Rank-1 94.2, mAP 82.6. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_reid.py',
    './_base_/datasets/market1501.py',
    './_base_/schedules/amsgrad_step_150e.py',
    './_base_/default_runtime.py',
]

load_from = 'torchreid://osnet_x1_0_imagenet'
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]
