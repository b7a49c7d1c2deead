"""OSNet x0.5 on Market-1501, fine-tuned from ImageNet weights: twice the batch, rate and a longer schedule.

    mmosnet train osnet_x0_5_reid_market

Model zoo of the released code, as reported: Rank-1 92.5, mAP 79.8. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market.py'

model = dict(backbone=dict(widen_factor=0.5), neck=dict(in_channels=256))
load_from = 'torchreid://osnet_x0_5_imagenet'

train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=0.003))
param_scheduler = dict(step_size=80, end=180)
train_cfg = dict(max_epochs=180)
auto_scale_lr = dict(base_batch_size=128)
