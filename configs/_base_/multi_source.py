# Train on several data sets and test on another: the released recipe of both OSNet-IBN and OSNet-AIN. Color
# jitter, AMSGrad 0.0015, cosine to 0 in 50 epochs, cosine distance.
_base_ = [
    './models/osnet_reid.py',
    './datasets/market1501.py',
    './schedules/amsgrad_cosine_250e.py',
    './default_runtime.py',
]

custom_hooks = [*_base_.custom_hooks, dict(type='mmosnet.BaseFreezeHook', num_epochs=10)]

# Data sets that the configs combine.
msmt17 = dict(type='mmosnet.MSMT17', data_root='msmt17')
dukemtmc = dict(type='mmosnet.DukeMTMCreID', data_root='dukemtmc-reid')
market1501 = dict(type='mmosnet.Market1501', data_root='market1501')
cuhk03 = dict(type='mmosnet.CUHK03', data_root='cuhk03')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmosnet.MultiSource',
        data_root='data',
        pipeline=[
            *_base_.train_pipeline[:-1],
            dict(type='ColorJitter', brightness=0.2, contrast=0.15),
            _base_.train_pipeline[-1],
        ],
    )
)
val_evaluator = dict(distance='cosine')
test_evaluator = val_evaluator

param_scheduler = dict(T_max=50, end=50)
train_cfg = dict(max_epochs=50)
