"""OSNet-IBN x1.0 trained on MSMT17, DukeMTMC-reID and CUHK03, tested on Market-1501.

    python tools/train.py configs/osnet_ibn_reid_ms_d_c.py

Model zoo of the released code, tested on Market-1501 with cosine distance, as reported: Rank-1 73.0, mAP 44.9. Not
yet run by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(head=dict(num_classes=2510))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        sources=[
            dict(type='mmosnet.MSMT17', data_root='msmt17'),
            dict(type='mmosnet.DukeMTMCreID', data_root='dukemtmc-reid'),
            dict(type='mmosnet.CUHK03', data_root='cuhk03'),
        ],
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)
target = dict(type='mmosnet.Market1501', data_root='data/market1501')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
test_targets = None
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator
