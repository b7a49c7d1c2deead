# Attributes from ImageNet weights, ours: the optimizer of re-identification, with the steps of the attribute recipe,
# divided by 10 at epochs 30 and 40 of 50.
optim_wrapper = dict(
    # One kernel for all parameters: 3 to 5 % of a step of OSNet x1.0 on a CPU.
    optimizer=dict(type='Adam', lr=0.0015, betas=(0.9, 0.999), weight_decay=5e-4, amsgrad=True, fused=True)
)
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 40], gamma=0.1, end=50)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=1)
auto_scale_lr = dict(base_batch_size=64, enable=False)
