# iLIDS-VID at 256x128, flip only, as MARS: the first of 10 official divisions.
_base_ = './mars.py'

data_root = 'data/ilids-vid'
train_dataloader = dict(dataset=dict(type='mmosnet.ILIDSVID', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.ILIDSVID', data_root=data_root))
val_evaluator = dict(average_precision='rectangle')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
