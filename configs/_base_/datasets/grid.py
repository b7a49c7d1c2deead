# GRID at 256x128, flip only: the first of 10 splits.
_base_ = './market1501.py'

data_root = 'data/grid'
train_dataloader = dict(dataset=dict(type='mmosnet.GRID', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.GRID', data_root=data_root))
test_dataloader = val_dataloader
