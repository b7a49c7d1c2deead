# Market-1501 with its 30 binary attributes at 256x128. The validation split is ours: a tenth of the training people,
# held out so that the epoch is not chosen on test. Test is the authors': the 13,115 gallery images of people.
_base_ = './pa100k.py'

data_root = 'data/market1501'
# Equal in train and val; otherwise people of val would be trained on.
val_share = 0.1
train_dataloader = dict(dataset=dict(type='mmosnet.Market1501Attributes', data_root=data_root, val_share=val_share))
val_dataloader = dict(dataset=dict(type='mmosnet.Market1501Attributes', data_root=data_root, val_share=val_share))
test_dataloader = dict(
    dataset=dict(type='mmosnet.Market1501Attributes', data_root=data_root, val_share=val_share, queries=False)
)
