"""OSNet x1.0 on ImageNet-1k from random weights. The recipe is ours: none was ever released.

    mmosnet train osnet_cls_imagenet --amp
    torchrun --nproc_per_node 8 -m mmosnet train osnet_cls_imagenet --launcher pytorch --amp

The second command makes the recipe's batch of 1024, 128 on each of 8 GPUs; with fewer the rate follows the batch.
Needs ImageNet in data/imagenet: train and val with a folder a category (n01440764 ...), or meta/val.txt with a line
`IMAGE LABEL` for each file of a flat val. The checkpoint starts re-identification, backbone and neck:
osnet_reid_market.py with --cfg-options load_from=work_dirs/osnet_cls_imagenet/epoch_120.pth.

Paper, as reported: top-1 75.5. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_cls.py',
    './_base_/datasets/imagenet.py',
    './_base_/schedules/sgd_cosine_120e.py',
    './_base_/cls_runtime.py',
]

# Smoothing 0.1 and crops from 8 % of the image on are Inception's (arXiv 1512.00567), usual for networks that can
# overfit ImageNet in 120 epochs; color jitter, erasing and mixtures of images are for larger ones.
model = dict(head=dict(loss=dict(label_smooth_val=0.1)))

# The weights of the last 5,000 steps, 4 epochs of 1,251, are averaged. Checkpoints hold the average and evaluations use
# it, because it resembles the final network while the rate is still high. Batch statistics are averaged too, because
# those of the last step belong to other weights; each process averages its own, and over thousands of steps they agree.
# For a batch of B images use a momentum of 2e-4 * B / 1024.
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', momentum=2e-4, update_buffers=True)]
