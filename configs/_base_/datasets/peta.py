# PETA, first partition of the random protocol, at 256x128. The same people are in training and test.
# The protocol without them: protocol='zero_shot' in train_dataloader.dataset, val_dataloader.dataset and
# test_dataloader.dataset.
_base_ = './pa100k.py'

data_root = 'data/peta'
train_dataloader = dict(dataset=dict(type='mmosnet.PETA', data_root=data_root))
val_dataloader = dict(dataset=dict(type='mmosnet.PETA', data_root=data_root))
test_dataloader = dict(dataset=dict(type='mmosnet.PETA', data_root=data_root))
