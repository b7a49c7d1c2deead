"""OSNet-IBN x1.0 trained on Market-1501 to be used elsewhere: instance normalization and color jitter.

    mmosnet train osnet_ibn_reid_market

The released code's recipe for other cameras than those of training. Random erasing stays out: it helps on the training
cameras and hurts on others.

Model zoo of the released code, tested on DukeMTMC-reID, as reported: Rank-1 48.5, mAP 26.7. Not yet run by us: needs
the data set.
"""

_base_ = './osnet_reid_market.py'

model = dict(backbone=dict(arch='osnet_ibn'))
load_from = 'torchreid://osnet_ibn_x1_0_imagenet'
# What "mmosnet test" evaluates, a row each.
test_targets = dict(
    market1501=dict(type='mmosnet.Market1501', data_root='data/market1501'),
    dukemtmc=dict(type='mmosnet.DukeMTMCreID', data_root='data/dukemtmc-reid'),
)

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:-1],
            dict(type='ColorJitter', brightness=0.2, contrast=0.15),
            _base_.train_pipeline[-1],
        ]
    )
)
