# The paper's re-identification model (section 3.3): OSNet, global average pooling, one linear layer with batch
# normalization and ReLU to the 512-d embedding, identity classifier.
model = dict(
    type='ImageClassifier',
    # Means and deviations of ImageNet, RGB, in pixel units.
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='OSNet', widen_factor=1.0),
    neck=dict(
        type='LinearNeck',
        in_channels=512,
        out_channels=512,
        gap_dim=2,
        norm_cfg=dict(type='BN1d'),
        act_cfg=dict(type='ReLU'),
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
    ),
    head=dict(
        type='mmosnet.ReIDHead',
        num_classes=751,
        in_channels=512,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
