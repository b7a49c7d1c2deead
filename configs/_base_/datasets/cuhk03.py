# CUHK03 at 256x128, flip only: new protocol, detected boxes.
_base_ = './market1501.py'

data_root = 'data/cuhk03'
train_dataloader = dict(dataset=dict(type='mmosnet.CUHK03', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.CUHK03', data_root=data_root))
test_dataloader = val_dataloader
