"""OSNet-IBN x1.0 trained on MSMT17, DukeMTMC-reID and Market-1501, tested on CUHK03.

    python tools/train.py configs/osnet_ibn_reid_ms_d_m.py

Model zoo of the released code, tested on CUHK03 with cosine distance, as reported: Rank-1 25.7, mAP 25.4. Not yet run
by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_market.py'

model = dict(head=dict(num_classes=2494))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        sources=[
            dict(type='mmosnet.MSMT17', data_root='msmt17'),
            dict(type='mmosnet.DukeMTMCreID', data_root='dukemtmc-reid'),
            dict(type='mmosnet.Market1501', data_root='market1501'),
        ],
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)
target = dict(type='mmosnet.CUHK03', data_root='data/cuhk03')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
test_targets = None
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator
