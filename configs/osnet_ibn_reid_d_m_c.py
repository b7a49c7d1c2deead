"""OSNet-IBN x1.0 trained on DukeMTMC-reID, Market-1501 and CUHK03, tested on MSMT17.

    mmosnet train osnet_ibn_reid_d_m_c

Model zoo of the released code, tested on MSMT17 with cosine distance, as reported: Rank-1 39.8, mAP 16.2. Not yet run
by us: needs the data set.
"""

_base_ = './_base_/multi_source.py'

model = dict(backbone=dict(arch='osnet_ibn'), head=dict(num_classes=2220))
load_from = 'torchreid://osnet_ibn_x1_0_imagenet'
train_dataloader = dict(dataset=dict(sources=[_base_.dukemtmc, _base_.market1501, _base_.cuhk03]))
target = dict(type='mmosnet.MSMT17', data_root='data/msmt17')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
