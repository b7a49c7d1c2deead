"""OSNet x1.0 on MSMT17 from random weights, the paper's recipe (section 4.1).

    mmosnet train osnet_reid_msmt17_scratch

Paper, from scratch, as reported: Rank-1 71.0, mAP 43.3. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market_scratch.py'

model = dict(head=dict(num_classes=1041))
source = dict(type='mmosnet.MSMT17', data_root='data/msmt17')
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = val_dataloader
