# CIFAR, ours; rate 0.1 and its division by 10 at epochs 150 and 225 of 300 are the paper's, as reported.
# Batch 128 and decay 5e-4, on all weights, are those of Wide ResNets (arXiv 1605.07146).
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
# One epoch of warm-up: the first steps of a random network at 0.1 are unstable. `end` is set because checkpoints store
# it: otherwise a run stopped early by max_epochs could not continue the schedule.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, milestones=[150, 225], gamma=0.1, end=300),
]
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=5)
auto_scale_lr = dict(base_batch_size=128, enable=False)
