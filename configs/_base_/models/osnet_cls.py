# The paper's classification model (section 3.3): backbone and neck of re-identification, so that both carry over to it,
# and a linear classifier. 2,682,508 parameters at x1.0 with 1000 categories.
_base_ = './osnet_reid.py'

model = dict(
    head=dict(
        _delete_=True,
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        # The share of training images that are classified right, in the log.
        cal_acc=True,
    )
)
