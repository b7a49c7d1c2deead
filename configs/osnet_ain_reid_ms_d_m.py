"""OSNet-AIN x1.0 trained on MSMT17, DukeMTMC-reID and Market-1501, tested on CUHK03.

    python tools/train.py configs/osnet_ain_reid_ms_d_m.py

Model zoo of the released code, tested on CUHK03 with cosine distance, as reported: Rank-1 27.4, mAP 27.1. Not yet run
by us: needs the data set.
"""

_base_ = './osnet_ain_reid_market.py'

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

max_epochs = 50
param_scheduler = dict(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
