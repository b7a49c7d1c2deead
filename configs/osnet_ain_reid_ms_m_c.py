"""OSNet-AIN x1.0 trained on MSMT17, Market-1501 and CUHK03, tested on DukeMTMC-reID.

    mmosnet train osnet_ain_reid_ms_m_c

Model zoo of the released code, tested on DukeMTMC-reID with cosine distance, as reported: Rank-1 65.6, mAP 47.2. Not
yet run by us: needs the data set.
"""

_base_ = './osnet_ibn_reid_ms_m_c.py'

model = dict(backbone=dict(arch='osnet_ain'))
load_from = 'torchreid://osnet_ain_x1_0_imagenet'
