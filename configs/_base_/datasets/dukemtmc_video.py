# DukeMTMC-VideoReID at 256x128, flip only, as MARS.
_base_ = './mars.py'

data_root = 'data/dukemtmc-vidreid'
train_dataloader = dict(dataset=dict(type='mmosnet.DukeMTMCVideoReID', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.DukeMTMCVideoReID', data_root=data_root))
val_evaluator = dict(average_precision='rectangle')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
