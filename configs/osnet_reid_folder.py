"""OSNet x0.25 on your own crops in folders, fine-tuned from ImageNet weights.

    mmosnet check-data osnet_reid_folder --data-root FOLDER
    mmosnet train osnet_reid_folder --data-root FOLDER --cfg-options model.head.num_classes=N

FOLDER/{train,query,gallery}/PERSON/CAMERA_*.jpg: PERSON is any name, CAMERA a number; N is the number of people in
train, which check-data reports. A single camera also needs val_evaluator.same_camera=keep
test_evaluator.same_camera=keep.

Half the batch and rate and a third of the epochs of osnet_x0_25_reid_market.py, with stronger augmentation, because
own data sets are small. Needs the released file osnet_x0_25_imagenet.pth in checkpoints/; the new classifier trains
alone for the first 10 epochs. No numbers: they depend on your data.
"""

_base_ = './osnet_x0_25_reid_market.py'

model = dict(head=dict(num_classes=100))

data_root = 'data/my_people'
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='mmosnet.Random2DTranslation', prob=0.5),
    dict(type='ColorJitter', brightness=0.2, contrast=0.15, saturation=0.2),
    dict(type='mmosnet.RandomErasing', prob=0.5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(
    batch_size=64,
    dataset=dict(type='mmosnet.ReIDFolder', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(type='mmosnet.ReIDFolder', data_root=data_root))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=0.0015))
param_scheduler = dict(step_size=25, end=60)
train_cfg = dict(max_epochs=60, val_interval=5)
auto_scale_lr = dict(base_batch_size=64)
