"""OSNet-AIN x1.0 trained on Market-1501 to be used elsewhere: searched instance normalization, cosine distance.

    mmosnet train osnet_ain_reid_market

The released code's recipe for other cameras than those of training: OSNet-IBN's, with a cosine schedule of 100 epochs.

Model zoo of the released code, tested on DukeMTMC-reID, as reported: Rank-1 52.4, mAP 30.5. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(backbone=dict(arch='osnet_ain'))
load_from = 'torchreid://osnet_ain_x1_0_imagenet'

max_epochs = 100
param_scheduler = dict(
    _delete_=True, type='CosineAnnealingLR', by_epoch=True, T_max=max_epochs, eta_min=0, end=max_epochs
)
train_cfg = dict(max_epochs=max_epochs)
val_evaluator = dict(distance='cosine')
test_evaluator = dict(distance='cosine')
