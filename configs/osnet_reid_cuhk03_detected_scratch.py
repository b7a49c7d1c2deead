"""OSNet x1.0 on CUHK03 (new protocol, detected) from random weights, the paper's recipe (section 4.1).

    mmosnet train osnet_reid_cuhk03_detected_scratch

Paper, from scratch, as reported: Rank-1 57.1, mAP 54.2. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market_scratch.py'

model = dict(head=dict(num_classes=767))
source = dict(type='mmosnet.CUHK03', data_root='data/cuhk03')
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = val_dataloader
