"""As osnet_reid_cuhk03_detected.py, with the boxes that were drawn by hand.

    mmosnet train osnet_reid_cuhk03_labeled

Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_cuhk03_detected.py'

train_dataloader = dict(dataset=dict(boxes='labeled'))
val_dataloader = dict(dataset=dict(boxes='labeled'))
test_dataloader = val_dataloader
