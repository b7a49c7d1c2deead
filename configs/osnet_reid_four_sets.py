"""OSNet x1.0 on MSMT17, DukeMTMC-reID, Market-1501 and CUHK03 at once: where VIPeR and GRID start from.

    mmosnet train osnet_reid_four_sets

Evaluated on Market-1501, on whose other people it trains. The paper pre-trains on the large data sets for the small
ones; the recipe is the released code's for fine-tuning. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market.py'

model = dict(head=dict(num_classes=3261))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        sources=[
            dict(type='mmosnet.MSMT17', data_root='msmt17'),
            dict(type='mmosnet.DukeMTMCreID', data_root='dukemtmc-reid'),
            dict(type='mmosnet.Market1501', data_root='market1501'),
            dict(type='mmosnet.CUHK03', data_root='cuhk03'),
        ],
        pipeline=_base_.train_pipeline,
    )
)
