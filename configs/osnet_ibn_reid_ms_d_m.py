"""OSNet-IBN x1.0 trained on MSMT17, DukeMTMC-reID and Market-1501, tested on CUHK03.

    mmosnet train osnet_ibn_reid_ms_d_m

Model zoo of the released code, tested on CUHK03 with cosine distance, as reported: Rank-1 25.7, mAP 25.4. Not yet run
by us: needs the data set.
"""

_base_ = './_base_/multi_source.py'

model = dict(backbone=dict(arch='osnet_ibn'), head=dict(num_classes=2494))
load_from = 'torchreid://osnet_ibn_x1_0_imagenet'
train_dataloader = dict(dataset=dict(sources=[_base_.msmt17, _base_.dukemtmc, _base_.market1501]))
target = dict(type='mmosnet.CUHK03', data_root='data/cuhk03')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
