# DukeMTMC-reID at 256x128, flip only. Withdrawn by its authors in 2019.
_base_ = './market1501.py'

data_root = 'data/dukemtmc-reid'
train_dataloader = dict(dataset=dict(type='mmosnet.DukeMTMCreID', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.DukeMTMCreID', data_root=data_root))
test_dataloader = val_dataloader
