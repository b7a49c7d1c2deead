"""OSNet x0.5 on MSMT17, fine-tuned from ImageNet weights; recipe of osnet_x0_5_reid_market.py.

    mmosnet train osnet_x0_5_reid_msmt17

Model zoo of the released code, as reported: Rank-1 69.7, mAP 37.5. Not yet run by us: needs the data set.
"""

_base_ = './osnet_x0_5_reid_market.py'

model = dict(head=dict(num_classes=1041))
source = dict(type='mmosnet.MSMT17', data_root='data/msmt17')
train_dataloader = dict(dataset=source)
val_dataloader = dict(dataset=source)
test_dataloader = val_dataloader
