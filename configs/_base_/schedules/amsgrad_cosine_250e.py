# The strongest recipe of the released code: AMSGrad 0.0015, cosine to 0 in 250 epochs.
optim_wrapper = dict(
    # One kernel for all parameters: 3 to 5 % of a step of OSNet x1.0 on a CPU.
    optimizer=dict(type='Adam', lr=0.0015, betas=(0.9, 0.999), weight_decay=5e-4, amsgrad=True, fused=True)
)
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=250, eta_min=0, end=250)
train_cfg = dict(by_epoch=True, max_epochs=250, val_interval=10)
auto_scale_lr = dict(base_batch_size=64, enable=False)
