# MSMT17 at 256x128, flip only.
_base_ = './market1501.py'

data_root = 'data/msmt17'
train_dataloader = dict(dataset=dict(type='mmosnet.MSMT17', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.MSMT17', data_root=data_root))
test_dataloader = val_dataloader
