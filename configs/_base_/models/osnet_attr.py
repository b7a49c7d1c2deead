# Backbone and embedding layer of re-identification, so that both carry over to it, and one linear classifier for all
# attributes of a person. The paper's released model (section 4.2) takes the maximum in place of the average.
_base_ = './osnet_reid.py'

model = dict(
    neck=dict(type='mmosnet.PooledLinearNeck', pooling='average'),
    head=dict(
        _delete_=True,
        type='mmosnet.AttributeHead',
        num_classes=26,
        in_channels=512,
        loss=dict(type='mmosnet.WeightedBCELoss', mode='exponential'),
    ),
)
