# Training from scratch in the paper (section 4.1): SGD 0.065, divided by 10 at epochs 150, 225 and 300 of 350.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.065, momentum=0.9, weight_decay=5e-4))
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[150, 225, 300], gamma=0.1, end=350)
train_cfg = dict(by_epoch=True, max_epochs=350, val_interval=10)
auto_scale_lr = dict(base_batch_size=64, enable=False)
