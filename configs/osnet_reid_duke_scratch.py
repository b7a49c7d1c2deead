"""OSNet x1.0 on DukeMTMC-reID from random weights, the paper's recipe (section 4.1).

    mmosnet train osnet_reid_duke_scratch

Paper, from scratch, as reported: Rank-1 84.7, mAP 68.6. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market_scratch.py'

model = dict(head=dict(num_classes=702))
source = dict(type='mmosnet.DukeMTMCreID', data_root='data/dukemtmc-reid')
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = val_dataloader
