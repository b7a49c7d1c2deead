"""OSNet-IBN x1.0 trained on DukeMTMC-reID to be used elsewhere: tested on Market-1501.

    mmosnet train osnet_ibn_reid_duke

Model zoo of the released code, tested on Market-1501, as reported: Rank-1 57.7, mAP 26.1. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(head=dict(num_classes=702))
source = dict(type='mmosnet.DukeMTMCreID', data_root='data/dukemtmc-reid')
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = val_dataloader
