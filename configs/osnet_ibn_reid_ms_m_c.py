"""OSNet-IBN x1.0 trained on MSMT17, Market-1501 and CUHK03, tested on DukeMTMC-reID.

    python tools/train.py configs/osnet_ibn_reid_ms_m_c.py

Model zoo of the released code, tested on DukeMTMC-reID with cosine distance, as reported: Rank-1 64.6, mAP 45.7. Not
yet run by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(head=dict(num_classes=2559))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        sources=[
            dict(type='mmosnet.MSMT17', data_root='msmt17'),
            dict(type='mmosnet.Market1501', data_root='market1501'),
            dict(type='mmosnet.CUHK03', data_root='cuhk03'),
        ],
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)
target = dict(type='mmosnet.DukeMTMCreID', data_root='data/dukemtmc-reid')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
test_targets = None
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator
