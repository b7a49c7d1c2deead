"""OSNet x0.25 on your own crops in a CSV table, fine-tuned from ImageNet weights.

    mmosnet check-data osnet_reid_table --data-root FOLDER
    mmosnet train osnet_reid_table --data-root FOLDER --cfg-options model.head.num_classes=N

FOLDER/people.csv has the columns path,pid,camid,split and any attributes, with one row per image:

    path,pid,camid,split,hat
    crops/a17.jpg,anna,0,train,yes

N is the number of people in train, which check-data reports. The recipe and the required files are those of
osnet_reid_folder.py. No numbers: they depend on your data.
"""

_base_ = './osnet_reid_folder.py'

train_dataloader = dict(dataset=dict(type='mmosnet.ReIDTable', ann_file='people.csv'))
val_dataloader = dict(dataset=dict(type='mmosnet.ReIDTable', ann_file='people.csv'))
test_dataloader = val_dataloader
