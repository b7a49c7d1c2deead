# ImageNet, ours; batch 1024, rate 0.4 and 120 epochs are the paper's, as reported, the rest is not known.
optim_wrapper = dict(
    optimizer=dict(
        type='SGD',
        # 0.1 for 256 images, linear in the batch (Goyal et al., arXiv 1706.02677).
        lr=0.4,
        momentum=0.9,
        nesterov=True,
        # The decay of similar small, depthwise networks (MobileNetV2, ShuffleNetV2): less than half of a ResNet's,
        # because they underfit.
        weight_decay=4e-5,
    ),
    # Before a normalization decay only changes the rate; norms and biases are too few to overfit. A depthwise filter
    # has nine weights, which decay would flatten (MobileNet, arXiv 1704.04861, section 3.2).
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, dwconv_decay_mult=0.0),
)
# Five epochs up from the rate of 256 images, which needs no warm-up; then cosine to 0, without steps to choose.
# `end` is set because checkpoints store it: otherwise a run stopped early by max_epochs could not continue the
# schedule.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.25, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=115, eta_min=0, begin=5, end=120),
]
train_cfg = dict(by_epoch=True, max_epochs=120, val_interval=1)
# Enabled, because the batch size depends on the number of GPUs and the rate must follow it.
auto_scale_lr = dict(base_batch_size=1024, enable=True)
