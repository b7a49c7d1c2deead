"""OSNet x1.0 on CIFAR-10 from random weights. The recipe is ours: none was ever released.

    mmosnet train osnet_cls_cifar10

Needs cifar-10-batches-py, extracted from https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, in data/cifar10.
Its files are pickles, so that only the official ones are read, recognized by their checksums. CIFAR has no
validation split: the result is that of the last epoch; the best one was chosen on the test images.

Paper, as reported: error 4.41, that is top-1 95.59. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_cls.py',
    './_base_/datasets/cifar10.py',
    './_base_/schedules/sgd_step_300e.py',
    './_base_/cls_runtime.py',
]

model = dict(
    # Published means and deviations of the training images, in pixel units. They are RGB already.
    data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7], to_rgb=False),
    # A stem of stride 4 would leave 2x2 pixels at the end; this one leaves 8x8.
    backbone=dict(stem='cifar'),
    # Plain cross-entropy, as ResNets and Wide ResNets were compared with: ten categories, 5,000 images each.
    head=dict(num_classes=10, loss=dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1.0)),
)
