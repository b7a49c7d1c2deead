"""OSNet x1.0 on PETA, fine-tuned from ImageNet weights; random protocol, 35 attributes.

    mmosnet train osnet_attr_peta

9,500 training images are few to start from scratch. The recipe is ours; no published figure. The epoch is chosen on
val and reported on test when training ends; another one by:

    mmosnet test osnet_attr_peta work_dirs/osnet_attr_peta/best_attributes_mA_epoch_N.pth

Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_attr.py',
    './_base_/datasets/peta.py',
    './_base_/schedules/amsgrad_step_50e.py',
    './_base_/attribute_runtime.py',
]

model = dict(head=dict(num_classes=35))
train_dataloader = dict(batch_size=64)
load_from = 'torchreid://osnet_x1_0_imagenet'
# Train only the new head at first.
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=3, trainable=('head',))]
