"""OSNet-AIN x1.0 trained on DukeMTMC-reID, Market-1501 and CUHK03, tested on MSMT17.

    mmosnet train osnet_ain_reid_d_m_c

Model zoo of the released code, tested on MSMT17 with cosine distance, as reported: Rank-1 40.2, mAP 16.2. Not yet run
by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_d_m_c.py'

model = dict(backbone=dict(arch='osnet_ain'))
load_from = 'torchreid://osnet_ain_x1_0_imagenet'
