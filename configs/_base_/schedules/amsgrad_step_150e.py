# Fine-tuning of the released code: AMSGrad 0.0015, divided by 10 every 60 of 150 epochs.
optim_wrapper = dict(
    # One kernel for all parameters: 3 to 5 % of a step of OSNet x1.0 on a CPU.
    optimizer=dict(type='Adam', lr=0.0015, betas=(0.9, 0.999), weight_decay=5e-4, amsgrad=True, fused=True)
)
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = dict(type='StepLR', by_epoch=True, step_size=60, gamma=0.1, end=150)
train_cfg = dict(by_epoch=True, max_epochs=150, val_interval=10)
auto_scale_lr = dict(base_batch_size=64, enable=False)
