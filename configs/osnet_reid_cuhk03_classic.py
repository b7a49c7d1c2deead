"""OSNet x1.0 on CUHK03, classic protocol: the mean of 20 splits, one gallery image per identity and draw.

    mmosnet train-splits osnet_reid_cuhk03_classic

Each split trains on 1,367 identities. "mmosnet train" trains the first split alone. Not yet run by us: needs the data
set.
"""

_base_ = './osnet_reid_cuhk03_detected.py'

model = dict(head=dict(num_classes=1367))
train_dataloader = dict(dataset=dict(protocol='classic'))
val_dataloader = dict(dataset=dict(protocol='classic'))
test_dataloader = val_dataloader
val_evaluator = dict(protocol='single_gallery_shot')
test_evaluator = val_evaluator
