"""OSNet x1.0 trained on everybody in MSMT17 to be used elsewhere: tested on Market-1501 and DukeMTMC-reID.

    mmosnet train osnet_reid_msmt17_combineall

126,441 images of 4,101 identities.

Model zoo of the released code, tested on Market-1501, as reported: Rank-1 66.6, mAP 37.5. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(backbone=dict(arch='osnet'), head=dict(num_classes=4101))
load_from = 'torchreid://osnet_x1_0_imagenet'
train_dataloader = dict(dataset=dict(type='mmosnet.MSMT17', data_root='data/msmt17', combineall=True))
