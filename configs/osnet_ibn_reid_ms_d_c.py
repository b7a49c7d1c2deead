"""OSNet-IBN x1.0 trained on MSMT17, DukeMTMC-reID and CUHK03, tested on Market-1501.

    mmosnet train osnet_ibn_reid_ms_d_c

Model zoo of the released code, tested on Market-1501 with cosine distance, as reported: Rank-1 73.0, mAP 44.9. Not
yet run by us: needs the data set.
"""

_base_ = './_base_/multi_source.py'

model = dict(backbone=dict(arch='osnet_ibn'), head=dict(num_classes=2510))
load_from = 'torchreid://osnet_ibn_x1_0_imagenet'
train_dataloader = dict(dataset=dict(sources=[_base_.msmt17, _base_.dukemtmc, _base_.cuhk03]))
target = dict(type='mmosnet.Market1501', data_root='data/market1501')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
