# RAP, first version, its first partition, at 256x128.
#
# RAP HAS NO OFFICIAL VALIDATION SPLIT, and published results are those of the epoch that is best ON TEST. Here the
# epoch is chosen on a tenth of the training images, held out by us: 29,941 images train instead of 33,268, and results
# do not compare with published ones in this. The same person may be in all three splits.
_base_ = './pa100k.py'

data_root = 'data/rap'
# Equal in train and val; otherwise images of val would be trained on.
val_share = 0.1
train_dataloader = dict(dataset=dict(type='mmosnet.RAPv1', data_root=data_root, val_share=val_share))
val_dataloader = dict(dataset=dict(type='mmosnet.RAPv1', data_root=data_root, val_share=val_share))
test_dataloader = dict(dataset=dict(type='mmosnet.RAPv1', data_root=data_root, val_share=val_share))
