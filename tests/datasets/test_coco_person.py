import json
import math

import numpy as np
import pytest
from PIL import Image

from mmosnet.datasets import CocoPerson
from mmosnet.errors import DataError
from mmosnet.io.coco import BACKGROUND
from tests.datasets.coco_miniature import person_colors, write_coco
from tests.datasets.official_formats import infos

FILES = dict(train='train.json', query='query.json', gallery='gallery.json')
LOAD = [dict(type='mmosnet.LoadPersonImage')]


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path)


def build(root, **options):
    options = dict(ann_files=FILES, data_prefix=dict(img_path='frames'), pipeline=LOAD) | options
    return CocoPerson(str(root), **options)


def edit(root, change, split='train'):
    """Let a function change an annotation file's content."""
    path = root / f'{split}.json'
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))


def annotation(**fields):
    """A change of the second annotation; None removes a field."""

    def change(content):
        entry = content['annotations'][1]
        entry.update(fields)
        for name in [name for name, value in entry.items() if value is None]:
            del entry[name]

    return change


def test_training_crops(root):
    dataset = build(root)
    found = infos(dataset)
    assert len(found) == 6 * 2 * 2
    assert [r['gt_label'] for r in found[:3]] == [0, 1, 0]
    assert {r['camid'] for r in found} == {0, 1}
    assert found[1]['img_path'] == f'{root}/frames/0_0_0.png#xywh=50,12,20,40'
    for index, record in enumerate(found):
        image = dataset[index]['img']
        upper, lower = person_colors(record['pid'])
        assert image.shape == (40, 20, 3)
        assert (image[:20] == upper).all() and (image[20:] == lower).all()
    assert dataset.metainfo['num_train_pids'] == 6


def test_queries_and_gallery_share_their_people(root):
    dataset = build(root, split=('query', 'gallery'), test_mode=True)
    found = infos(dataset)
    assert [r['split'] for r in found] == ['query'] * 8 + ['gallery'] * 8
    assert {r['pid'] for r in found} == {6, 7, 8, 9}
    assert dataset.metainfo['num_cross_camera_queries'] == 8
    assert dataset.pid_names == build(root).pid_names


def test_all_people_of_a_frame_train_with_combineall(root):
    dataset = build(root, combineall=True)
    assert len(dataset) == 40 and dataset.metainfo['num_train_pids'] == 10


def test_margin(root):
    dataset = build(root, margin=0.1)
    # A tenth of 20 and of 40 on each side.
    image = dataset[0]['img']
    assert image.shape == (48, 24, 3)
    assert (image[:4] == 60).all() and (image[:, :2] == 60).all() and (image[4:24, 2:22] != 60).all()


def test_background_is_masked(root):
    edit(root, annotation(segmentation=[[50, 12, 70, 12, 70, 32, 50, 32]]))
    dataset = build(root, mask_background=True, margin=0.1)
    image = dataset[1]['img']
    person = np.zeros((48, 24), bool)
    person[4:24, 2:22] = True
    assert (image[~person] == BACKGROUND).all()
    assert (image[person] == person_colors(1)[0]).all()
    assert 'segmentation' not in build(root).get_data_info(1)


def lay_down(root):
    """Save all frames as they lie in a camera held sideways, with the EXIF orientation that turns them upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (root / 'frames').iterdir():
        with Image.open(path) as frame:
            frame.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def test_boxes_and_masks_count_in_the_turned_frame(root):
    edit(root, lambda content: [image.pop('height') for image in content['images'][:3]] and None)
    upright = [item['img'] for item in build(root)], [item['img'] for item in build(root, mask_background=True)]
    lay_down(root)
    for images, options in zip(upright, ({}, dict(mask_background=True)), strict=True):
        turned = build(root, **options)
        assert len(turned) == len(images) == 24
        for index, image in enumerate(images):
            np.testing.assert_array_equal(turned[index]['img'], image)


def test_sizes_of_frames_as_they_lie_in_the_file_are_refused(root):
    lay_down(root)

    def change(content):
        content['images'][1].update(height=90, width=60)

    edit(root, change)
    with pytest.raises(DataError, match=r'annotation 4: .*width 60 and height 90, but the image has 90 and 60, turned'):
        build(root)


def test_one_file_with_splits_names_and_attributes(root):
    def change(content):
        for entry, split in zip(content['annotations'], ('train', 'query', 'gallery') * 8, strict=True):
            entry['attributes'] = dict(track_id='anna' if entry.pop('person_id') else 'bob', occluded=False)
            entry['hat'] = 1
            entry['attributes']['subset'] = split
        for image in content['images']:
            image['place'] = f'door {image.pop("camera_id")}'

    edit(root, change)
    options = dict(ann_files=None, ann_file='train.json', id_key='track_id', camera_key='place', split_key='subset')
    train, test = build(root, **options), build(root, split=('query', 'gallery'), **options)
    assert len(train) == 8 and len(test) == 16
    assert train.pid_names == test.pid_names == {1: 'anna', 2: 'bob'}
    assert {r['camid'] for r in infos(train)} == {1, 2}
    assert infos(train)[0]['attributes'] == dict(occluded=False, hat=1)
    assert train.metainfo['attribute_names'] == ['hat', 'occluded']


def test_crowds_and_other_categories_are_left_out(root, log):
    def change(content):
        content['categories'] = [dict(id=1, name='person'), dict(id=7, name='car')]
        del content['annotations'][0]['person_id']
        content['annotations'][0]['iscrowd'] = 1
        del content['annotations'][3]['person_id']
        content['annotations'][3]['category_id'] = 7

    for split in FILES:
        edit(root, change, split)
    assert len(build(root, category='person')) == 22
    assert any('left out 1 crowd annotations' in line and 'train.json' in line for line in log)
    with pytest.raises(DataError, match=r"annotation 4: the field 'person_id' is missing"):
        build(root)
    with pytest.raises(DataError, match=r"no category 'people'; the file has car, person"):
        build(root, category='people')


def test_crowds_of_tools_that_draw_masks_are_named(root, log):
    def change(content):
        for number, entry in enumerate(content['annotations']):
            entry['iscrowd'] = int(number not in keep)

    keep = {0, 3, 5}
    edit(root, change)
    assert [r['pid'] for r in infos(build(root))] == [0, 1, 1]
    assert any('21 crowd annotations' in line and 'train.json' in line and 'first 2' in line for line in log)
    keep = set(range(2, 24))
    edit(root, change)
    assert len(build(root)) == 22
    assert any('2 crowd annotations' in line and '(1, 2)' in line for line in log)
    keep = set()
    edit(root, change)
    with pytest.raises(DataError, match=r'train\.json.*24 of 24 annotations.*iscrowd'):
        build(root)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32'])
def test_encodings_of_json(root, encoding):
    text = (root / 'train.json').read_text()
    (root / 'train.json').write_bytes(text.encode(encoding))
    assert len(build(root)) == 24
    (root / 'train.json').write_bytes(text.replace('0_0_0', '0_0_ë').encode('latin-1'))
    with pytest.raises(DataError, match=r'train\.json is no JSON'):
        build(root)


def test_corners_are_no_boxes(root):
    def change(content):
        for entry in content['annotations']:
            left, top, width, height = entry['bbox']
            entry['bbox'] = [left, top, left + width, top + height]

    edit(root, change)
    with pytest.raises(DataError, match=r'train\.json, annotation 1: .*right, bottom'):
        build(root)


def test_clipped_boxes_are_counted(root, log):
    edit(root, annotation(bbox=[80.5, -10, 20, 40]))
    assert infos(build(root))[1]['img_path'].endswith('#xywh=80,0,10,30')
    assert any('1 of 24 boxes of train reach beyond their frame' in line for line in log)


def test_sizes_of_frames_need_not_be_stated(root):
    def change(content):
        for image in content['images']:
            del image['height'], image['width']

    edit(root, change)
    assert len(build(root)) == 24


def test_numbers_with_a_decimal_point_are_whole(root):
    pids = [record['pid'] for record in build(root).load_data_list()]

    def change(content):
        for entry in content['annotations']:
            entry['person_id'] = float(entry['person_id'])

    edit(root, change)
    assert [record['pid'] for record in build(root).load_data_list()] == pids


def test_unused_splits_need_no_frames(root):
    (root / 'frames' / '6_0_0.png').unlink()
    assert len(build(root)) == 24
    with pytest.raises(DataError, match=r'query\.json, annotation 2: no image .*6_0_0\.png; data_prefix'):
        build(root, split='query')


def test_damaged_frames_are_met_or_skipped(root, warnings):
    path = root / 'frames' / '0_0_1.png'
    path.write_bytes(path.read_bytes()[:10])
    dataset = build(root)
    with pytest.raises(DataError, match=r'0_0_1\.png: unreadable image'):
        dataset[2]
    assert len(build(root, bad_images='skip')) == 22
    assert 'skipped 2 of 24' in warnings[0]

    def change(content):
        del content['images'][1]['height']

    edit(root, change)
    with pytest.raises(DataError, match=r'0_0_1\.png: unreadable image .* no size'):
        build(root)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (annotation(person_id=None), "annotation 2: the field 'person_id' is missing.* id_key"),
        (
            annotation(person_id=None, track_id=7),
            r'annotation 2: .* another \(.*track_id.*\): .*--cfg-options train_dataloader\.dataset\.id_key=FIELD',
        ),
        (annotation(person_id=True), "annotation 2: the field 'person_id' is True, not a number or a name"),
        (annotation(person_id=[3]), r"annotation 2: the field 'person_id' is \[3\]"),
        (annotation(person_id=' '), "annotation 2: the field 'person_id' is missing or empty"),
        (annotation(attributes='red'), "annotation 2: attributes 'red' are no object"),
        (annotation(bbox=None), r"annotations\[1\]: the field 'bbox' is missing \(id 2\)"),
        (annotation(bbox=[1, 2, 3]), r'annotation 2: bbox \[1, 2, 3\] is not'),
        (annotation(bbox=[1, 2, 0, 3]), r'annotation 2: bbox \[1, 2, 0, 3\] has no area'),
        (annotation(bbox=[95, 2, 5, 3]), 'annotation 2: bbox .* wholly outside its frame of 90x60'),
        (annotation(person_id=3.5), "annotation 2: person_id is '3.5'"),
        (annotation(person_id=math.nan), "annotation 2: person_id is 'nan'"),
        (annotation(person_id=math.inf), "annotation 2: person_id is 'inf'"),
        (annotation(bbox=[0.1, 0.2, 0.3, 0.4]), r'annotation 2: bbox .*look like shares of the image'),
        (annotation(bbox=[0, 0, 1, 1.0]), r'annotation 2: bbox .*look like shares of the image'),
        (annotation(bbox=[1, 2, math.nan, 3]), r'annotation 2: bbox \[1, 2, nan, 3\] is not'),
        (annotation(bbox=[1, 2, math.inf, 3]), r'annotation 2: bbox \[1, 2, inf, 3\] is not'),
        (annotation(bbox=[1, 2, -4, 3]), r'annotation 2: bbox \[1, 2, -4, 3\] has no area'),
        (annotation(bbox=[10**400, 2, 4, 3]), 'annotation 2: bbox'),
        (annotation(iscrowd='0'), "annotation 2: iscrowd '0' is neither"),
        (annotation(iscrowd=0.5), 'annotation 2: iscrowd 0.5 is neither'),
        (annotation(id=True), r'annotations\[1\]: id True is neither'),
        (annotation(id=2.0), r'annotations\[1\]: id 2.0 is neither'),
        (annotation(id=math.nan), r'annotations\[1\]: id nan is neither'),
        (annotation(image_id=True), 'annotation 2: image_id True is not'),
        (annotation(image_id=1.0), 'annotation 2: image_id 1.0 is not'),
        (annotation(image_id=math.inf), 'annotation 2: image_id inf is not'),
        (lambda c: c.update(categories=[dict(id=1.5, name='person')]), 'categories: .*1.5'),
        (lambda c: c.update(categories=[dict(id=1, name='a'), dict(id=2, name='a')]), "'a' comes twice"),
        (annotation(id=1), r'annotations\[1\]: id 1 comes twice in annotations'),
        (annotation(id=[1]), r'annotations\[1\]: id \[1\] is neither'),
        (annotation(image_id=99), 'annotation 2: image_id 99 is not the id of any of the 12 images'),
        (annotation(image_id=[1]), r'annotation 2: image_id \[1\] is not'),
        (annotation(segmentation='m.png'), r'annotation 2: mask_background=True needs.*found m\.png'),
        (lambda c: c['images'][0].update(file_name='../x.png'), r"the path '\.\./x\.png' leaves"),
        (lambda c: c['images'][0].update(file_name='/etc/passwd'), "the path '/etc/passwd' leaves"),
        (lambda c: c['images'][0].update(file_name=7), r'images\[0\]: file_name 7 is no text'),
        (lambda c: c['images'][1].update(id=1), r'images\[1\]: id 1 comes twice in images'),
        (lambda c: c['images'][0].update(camera_id=None), "annotation 1: the field 'camera_id' is missing"),
        (lambda c: c['images'][0].update(height=90, width=60), 'width 60 and height 90, but the image has 90 and 60'),
        (lambda c: c['images'].append(3), r"images\[12\]: '3' is no object"),
        (lambda c: c.update(images=None), r'not in COCO format.*the keys'),
        (lambda c: c['annotations'], 'not in COCO format.*a list'),
        (lambda c: dict(annotations={}, images=[]), 'not in COCO format'),
    ],
)
def test_broken_files_are_named(root, change, message):
    edit(root, change)
    with pytest.raises(DataError, match=r'train\.json.*' + message):
        build(root, mask_background=True)


def test_files_that_are_no_json_or_missing(root):
    (root / 'train.json').write_text('<annotation>')
    with pytest.raises(DataError, match=r'train\.json is no JSON .* COCO format'):
        build(root)
    (root / 'train.json').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DataError, match=r'train\.json is no JSON'):
        build(root)
    for text, message in (
        ('[' * 100_000 + ']' * 100_000, 'nested too deeply'),
        ('{"images": [{"id": 1, "id": 2}], "annotations": []}', "'id' twice"),
        ('', 'no JSON'),
        ('{"images": [], "annotations": [' + '9' * 5000 + ']}', 'no JSON'),
    ):
        (root / 'train.json').write_text(text)
        with pytest.raises(DataError, match=rf'train\.json.*{message}'):
            build(root)
    # JSON has no numbers too large for Python's: they are read as infinite.
    text = json.dumps(dict(images=[], annotations=[dict(id=1, image_id=1, bbox=[1, 2, 3, 4])]))
    (root / 'train.json').write_text(text.replace('"id": 1', '"id": 1e400'))
    with pytest.raises(DataError, match=r'train\.json, annotations\[0\]: id inf'):
        build(root)
    (root / 'train.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*train\.json'):
        build(root)


def test_unknown_split_in_the_file(root):
    edit(root, lambda c: c['annotations'][0].update(split='test'))
    with pytest.raises(DataError, match="annotation 1: split 'test'; choose from train, query, gallery"):
        build(root, ann_files=None, ann_file='train.json')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ann_files=None), 'give either ann_file='),
        (dict(ann_file='train.json'), 'give either ann_file='),
        (dict(ann_files=dict(val='val.json')), 'ann_files names val; the splits are train, query, gallery'),
        (dict(margin=-0.1), 'margin=-0.1 must be'),
    ],
)
def test_bad_options(root, options, message):
    with pytest.raises(DataError, match=message):
        build(root, **options)


def test_split_without_a_file(root):
    with pytest.raises(DataError, match='the query split has no images'):
        build(root, ann_files=dict(train='train.json'), split='query')
