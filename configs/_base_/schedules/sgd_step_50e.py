# Attributes from scratch in the released code: SGD 0.065, divided by 10 at epochs 30 and 40 of 50.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.065, momentum=0.9, weight_decay=5e-4))
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 40], gamma=0.1, end=50)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=1)
auto_scale_lr = dict(base_batch_size=32, enable=False)
