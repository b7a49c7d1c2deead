"""OSNet x0.25 on people annotated as boxes in your own frames (COCO format), fine-tuned from ImageNet weights.

    mmosnet check-data osnet_reid_coco --data-root FOLDER
    mmosnet train osnet_reid_coco --data-root FOLDER --cfg-options model.head.num_classes=N

FOLDER/{train,query,gallery}.json have a person_id and a camera_id per annotation; frames are in FOLDER/frames. Crops
are cut when they are read, enlarged by a twentieth of the box on each side. For identities in another field, set
id_key='track_id' below, or --cfg-options train_dataloader.dataset.id_key=track_id
val_dataloader.dataset.id_key=track_id test_dataloader.dataset.id_key=track_id. Options of mmosnet.CocoPerson read one
file with a field for the split, and mask backgrounds.

N is the number of people in train, which check-data reports. The recipe and the required files are those of
osnet_reid_folder.py. No numbers: they depend on your data.
"""

_base_ = './osnet_reid_folder.py'

people = dict(
    type='mmosnet.CocoPerson',
    ann_files=dict(train='train.json', query='query.json', gallery='gallery.json'),
    data_prefix=dict(img_path='frames'),
    id_key='person_id',
    camera_key='camera_id',
    margin=0.05,
)
train_dataloader = dict(dataset=people)
val_dataloader = dict(dataset=people)
test_dataloader = val_dataloader
