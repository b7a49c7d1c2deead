"""OSNet x1.0 on CIFAR-100 from random weights; the recipe of CIFAR-10, ours.

    mmosnet train osnet_cls_cifar100

Needs cifar-100-python, extracted from https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz, in data/cifar100; the
notes on CIFAR-10's files and on the best epoch hold here too.

Paper, as reported: error 19.21, that is top-1 80.79. Not yet run by us: needs the data set.
"""

_base_ = './osnet_cls_cifar10.py'

model = dict(
    # Published means and deviations of its own training images.
    data_preprocessor=dict(mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4]),
    head=dict(num_classes=100),
)
data_root = 'data/cifar100'
train_dataloader = dict(dataset=dict(type='mmosnet.CIFAR100', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.CIFAR100', data_root=data_root))
test_dataloader = val_dataloader
