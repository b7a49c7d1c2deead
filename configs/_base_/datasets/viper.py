# VIPeR at 256x128, flip only: the first of 20 splits.
_base_ = './market1501.py'

data_root = 'data/viper'
train_dataloader = dict(dataset=dict(type='mmosnet.VIPeR', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.VIPeR', data_root=data_root))
test_dataloader = val_dataloader
