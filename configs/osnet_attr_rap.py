"""OSNet x1.0 on RAP, fine-tuned from ImageNet weights; first version and partition, 51 attributes.

    mmosnet train osnet_attr_rap

The recipe of osnet_attr_peta.py, ours; no published figure. The epoch is chosen on a tenth of the training images, held
out by us, and reported on test when training ends; another one by:

    mmosnet test osnet_attr_rap work_dirs/osnet_attr_rap/best_attributes_mA_epoch_N.pth

Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_attr.py',
    './_base_/datasets/rap.py',
    './_base_/schedules/amsgrad_step_50e.py',
    './_base_/attribute_runtime.py',
]

model = dict(head=dict(num_classes=51))
train_dataloader = dict(batch_size=64)
load_from = 'torchreid://osnet_x1_0_imagenet'
# Train only the new head at first.
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=3, trainable=('head',))]
