"""OSNet x1.0 on the 30 binary attributes of Market-1501, fine-tuned from ImageNet weights.

    mmosnet train osnet_attr_market

Needs market_attribute.mat (Lin et al., "Improving Person Re-identification by Attribute and Identity Learning", 2019)
in data/market1501 beside the images. osnet_multitask_market.py learns identities in the same pass.

The recipe of osnet_attr_peta.py, ours; no published figure. The epoch is chosen on a tenth of the training people, held
out by us, and reported on test when training ends; another one by:

    mmosnet test osnet_attr_market work_dirs/osnet_attr_market/best_attributes_mA_epoch_N.pth

Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_attr.py',
    './_base_/datasets/market_attributes.py',
    './_base_/schedules/amsgrad_step_50e.py',
    './_base_/attribute_runtime.py',
]

model = dict(head=dict(num_classes=30))
train_dataloader = dict(batch_size=64)
load_from = 'torchreid://osnet_x1_0_imagenet'
# Train only the new head at first.
custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=3, trainable=('head',))]
