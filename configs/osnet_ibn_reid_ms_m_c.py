"""OSNet-IBN x1.0 trained on MSMT17, Market-1501 and CUHK03, tested on DukeMTMC-reID.

    mmosnet train osnet_ibn_reid_ms_m_c

Model zoo of the released code, tested on DukeMTMC-reID with cosine distance, as reported: Rank-1 64.6, mAP 45.7. Not
yet run by us: needs the data set.
"""

_base_ = './_base_/multi_source.py'

model = dict(backbone=dict(arch='osnet_ibn'), head=dict(num_classes=2559))
load_from = 'torchreid://osnet_ibn_x1_0_imagenet'
train_dataloader = dict(dataset=dict(sources=[_base_.msmt17, _base_.market1501, _base_.cuhk03]))
target = dict(type='mmosnet.DukeMTMCreID', data_root='data/dukemtmc-reid')
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
