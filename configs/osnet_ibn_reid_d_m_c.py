"""OSNet-IBN x1.0 trained on DukeMTMC-reID, Market-1501 and CUHK03, tested on MSMT17.

    python tools/train.py configs/osnet_ibn_reid_d_m_c.py

Model zoo of the released code, tested on MSMT17 with cosine distance, as reported: Rank-1 39.8, mAP 16.2. Not yet run
by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(head=dict(num_classes=2220))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        sources=[
            dict(type='mmosnet.DukeMTMCreID', data_root='dukemtmc-reid'),
            dict(type='mmosnet.Market1501', data_root='market1501'),
            dict(type='mmosnet.CUHK03', data_root='cuhk03'),
        ],
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)
target = dict(type='mmosnet.MSMT17', data_root='data/msmt17')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
test_targets = None
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator
