from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as coco_mask

from mmosnet.datasets import MSMT17, Market1501, ReIDFolder
from mmosnet.datasets.check import (
    Part,
    broken_things,
    camera_rule,
    find_all,
    image_facts,
    image_files,
    load_parts,
    read_images,
    report_lines,
    spread_over_people,
    warnings_of,
)
from mmosnet.errors import DataError
from tests.conftest import write_market, write_person
from tests.datasets.coco_miniature import write_coco
from tests.datasets.video_formats import write_duke_video, write_mars


def record(pid, number, split='query'):
    return dict(img_path=f'{pid}_{number}', pid=pid, split=split)


def test_queries_of_different_people():
    records = [record(pid, number) for pid in (1, 2, 3, 4) for number in (0, 1)]
    records += [record(pid, 9, 'gallery') for pid in range(5, 20)]
    assert [r['img_path'] for r in spread_over_people(records, 2)] == ['1_0', '3_0']
    assert [r['img_path'] for r in spread_over_people(records, 4)] == ['1_0', '2_0', '3_0', '4_0']
    # More images than people: second images follow.
    assert [r['img_path'] for r in spread_over_people(records, 6)] == ['1_0', '2_0', '3_0', '4_0', '1_1', '2_1']
    assert len(spread_over_people(records, 100)) == 8


def test_images_without_people_or_queries():
    assert [r['pid'] for r in spread_over_people([record(7, 0, 'gallery')], 3)] == [7]
    records = [dict(img_path=str(number)) for number in range(6)]
    assert [r['img_path'] for r in spread_over_people(records, 2)] == ['0', '3']


def test_files_and_folders(tmp_path):
    for number in range(4):
        write_person(tmp_path / 'crops' / f'{number}.jpg', number)
    (tmp_path / 'crops' / 'notes.txt').write_text('no image')
    write_person(tmp_path / 'one.jpg', 9)
    files = image_files([str(tmp_path / 'one.jpg'), str(tmp_path / 'crops')], 2)
    assert files == [str(tmp_path / name) for name in ('one.jpg', 'crops/0.jpg', 'crops/2.jpg')]


def test_mistakes_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no image or folder .*nothing\.jpg'):
        image_files([str(tmp_path / 'nothing.jpg')], 1)
    with pytest.raises(DataError, match=r'holds no image \(\.jpg'):
        image_files([str(tmp_path)], 1)
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 broken')
    with pytest.raises(DataError, match=r'broken\.jpg: unreadable image'):
        image_files([str(tmp_path)], 1)


def config(kind, root, **options):
    """A config with the data set for training and, equal but for pipelines, twice for testing."""
    common = dict(type=f'mmosnet.{kind}', data_root=str(root), **options)
    test = dict(common, split=('query', 'gallery'), test_mode=True)
    return Config(
        dict(
            default_scope='mmpretrain',
            train_dataloader=dict(dataset=dict(common, split='train', pipeline=[dict(type='RandomFlip', prob=0.5)])),
            val_dataloader=dict(dataset=dict(test, pipeline=[])),
            test_dataloader=dict(dataset=dict(test, pipeline=[dict(type='mmosnet.LoadPersonImage')])),
        )
    )


def check(kind, root, same_camera='drop', num_classes=None, **options):
    """Findings, what is broken and warnings."""
    parts, errors = load_parts(config(kind, root, **options))
    findings = find_all(parts, read_images(parts), same_camera)
    return findings, errors + broken_things(findings), warnings_of(findings, num_classes)


@pytest.fixture
def folder(tmp_path):
    """A data set without anything to complain about."""
    root = tmp_path / 'people'
    for number, person in enumerate(('anna', 'bob')):
        for camera in (0, 1):
            for image in range(2):
                write_person(root / 'train' / person / f'{camera}_a{number}{image}.jpg', number)
    for number, person in enumerate(('eve', 'joe')):
        write_person(root / 'query' / person / f'0_q{number}.jpg', number)
        write_person(root / 'gallery' / person / f'1_g{number}.jpg', number)
    return root


def test_numbers(market_root):
    for number in range(5):
        write_person(market_root / 'bounding_box_train' / f'0001_c1s1_{number + 50:06d}_00.jpg', 1, 40 + number, 20)
    findings, broken, _ = check('Market1501', market_root)
    assert not broken
    train, gallery = findings['parts']['train'], findings['parts']['gallery']
    assert (train['images'], train['identities'], train['distractors']) == (29, 6, 0)
    assert train['identities_per_camera'] == {0: 6, 1: 6}
    assert train['images_per_identity'] == dict(min=4, median=4, max=9)
    assert train['height'] == dict(min=32, median=32, max=44) and train['width'] == dict(min=16, median=16, max=20)
    # Junk is dropped, the distractor is no identity.
    assert (gallery['images'], gallery['identities'], gallery['distractors']) == (9, 4, 1)
    assert gallery['identities_per_camera'] == {0: 4, 1: 4}
    assert list(findings['parts']) == ['train', 'query', 'gallery']


def test_nothing_to_complain_about(folder):
    findings, broken, warnings = check('ReIDFolder', folder, num_classes=2)
    assert not broken and not warnings
    lines = report_lines(findings, broken, warnings)
    assert '    train |      8 |          2 |           0 |           4 / 4 / 4 | 32 / 32 / 32 | 16 / 16 / 16' in lines
    assert '       1 |     2 |     0 |       2' in lines


def test_wrong_number_of_classes(folder):
    _, broken, warnings = check('ReIDFolder', folder, num_classes=751)
    assert not broken
    assert warnings == [
        'train: 2 identities, but the head has 751 classes; train with --cfg-options model.head.num_classes=2'
    ]


def test_unreadable_files_are_all_named(folder):
    paths = [folder / 'train' / 'anna' / '0_a00.jpg', folder / 'query' / 'eve' / '0_q0.jpg']
    for path in paths:
        path.write_bytes(path.read_bytes()[:40])
    # Bad images are found whatever training makes of them.
    findings, broken, _ = check('ReIDFolder', folder, bad_images='skip')
    assert set(findings['unreadable']) == set(map(str, paths))
    assert len(broken) == 2 and 'unreadable image' in broken[0]
    assert findings['parts']['train']['images'] == 8


def test_a_data_set_that_cannot_be_built_does_not_hide_the_others(folder):
    shutil.rmtree(folder / 'gallery')
    findings, broken, _ = check('ReIDFolder', folder)
    assert list(findings['parts']) == ['train']
    assert len(broken) == 1 and 'gallery' in broken[0]
    (folder / 'gallery').mkdir()
    assert 'the gallery split has no images' in check('ReIDFolder', folder)[1][0]


def test_equal_images_within_a_split(folder):
    source = folder / 'train' / 'anna' / '0_a00.jpg'
    shutil.copy(source, folder / 'train' / 'anna' / '1_copy.jpg')
    _, _, warnings = check('ReIDFolder', folder)
    assert warnings == [f'train: 1 groups of equal images: {source} = {folder}/train/anna/1_copy.jpg']
    shutil.copy(source, folder / 'train' / 'bob' / '1_copy.jpg')
    findings, broken, warnings = check('ReIDFolder', folder)
    assert not broken and 'under several identities' in warnings[1]
    assert findings['duplicates']['train'][0]['people'] == ['anna', 'bob']


def test_images_and_people_in_train_and_test(folder):
    source = folder / 'train' / 'anna' / '0_a00.jpg'
    shutil.copy(source, folder / 'gallery' / 'eve' / '3_x.jpg')
    write_person(folder / 'gallery' / 'bob' / '3_x.jpg', 5)
    findings, _, warnings = check('ReIDFolder', folder)
    assert warnings == [
        f'train and gallery: 1 images are in both: {source} = {folder}/gallery/eve/3_x.jpg',
        'train and gallery: 1 identities are in both: bob',
    ]
    assert findings['leakage'][0]['test'] == 'query' and not findings['leakage'][0]['images']


@pytest.mark.parametrize(('shared', 'found'), [(None, ['1', '2']), (False, []), (True, ['1', '2'])])
def test_equal_pids_are_leakage_unless_test_people_have_separate_numbers(market_root, monkeypatch, shared, found):
    monkeypatch.setattr(Market1501, 'shared_pids', shared)
    for pid in (1, 2):
        write_person(market_root / 'bounding_box_test' / f'{pid:04d}_c1s1_000900_00.jpg', pid + 50)
    findings, _, warnings = check('Market1501', market_root)
    assert findings['leakage'][1]['identities'] == found
    assert any('unknown for this data set' in line for line in warnings) == (shared is None)


def test_pids_of_different_data_sets_are_not_compared(market_root, tmp_path):
    cfg = config('Market1501', market_root)
    other = write_market(tmp_path / 'other', num_train=0, num_test=3)
    cfg.test_dataloader.dataset.data_root = str(other)
    parts, _ = load_parts(cfg)
    assert [part.name for part in parts] == ['train', 'query', 'gallery', 'query 2', 'gallery 2']
    findings = find_all(parts, read_images(parts))
    assert [leak['test'] for leak in findings['leakage']] == ['query', 'gallery', 'query 2', 'gallery 2']
    assert not any(leak['identities'] for leak in findings['leakage'])
    # Queries are looked up in their own gallery.
    assert [queries['query'] for queries in findings['queries']] == ['query', 'query 2']


def test_queries_without_a_match(folder):
    shutil.rmtree(folder / 'gallery' / 'joe')
    findings, broken, warnings = check('ReIDFolder', folder)
    assert not broken and len(warnings) == 1
    assert 'query: 1 of 2 queries have no match in the gallery' in warnings[0] and 'q1.jpg' in warnings[0]
    (folder / 'gallery' / 'eve' / '1_g0.jpg').rename(folder / 'gallery' / 'eve' / '0_g0.jpg')
    findings, broken, _ = check('ReIDFolder', folder)
    assert findings['queries'][0]['only_by_their_own_camera'] == [str(folder / 'query' / 'eve' / '0_q0.jpg')]
    assert 'none of the 2 queries has a match' in broken[0] and 'same_camera=keep' in broken[0]
    findings, broken, _ = check('ReIDFolder', folder, same_camera='keep')
    assert not broken and not findings['queries'][0]['only_by_their_own_camera']


def test_queries_that_find_themselves(folder):
    source = folder / 'query' / 'eve' / '0_q0.jpg'
    shutil.copy(source, folder / 'gallery' / 'eve' / '0_copy.jpg')
    # The camera rule drops that one.
    assert not check('ReIDFolder', folder)[2]
    shutil.copy(source, folder / 'gallery' / 'eve' / '1_copy.jpg')
    warnings = check('ReIDFolder', folder)[2]
    assert any('1 of 2 queries are in the gallery themselves' in line for line in warnings)


def test_a_single_identity_is_broken(folder):
    shutil.rmtree(folder / 'train' / 'bob')
    _, broken, _ = check('ReIDFolder', folder)
    assert len(broken) == 1 and 'train: only one identity' in broken[0]


def test_what_is_left_out_is_listed(folder, market_root, tmp_path):
    assert not check('ReIDFolder', folder)[0]['notes']
    (folder / 'train' / 'anna' / 'x.heic').write_bytes(b'')
    (folder / 'train' / 'anna' / 'front.jpg').write_bytes(b'')
    findings, broken, warnings = check('ReIDFolder', folder)
    notes = findings['notes']
    assert len(notes) == 2 and '1 .heic' in notes[0] and 'front.jpg' in notes[1]
    lines = report_lines(findings, broken, warnings)
    assert all(f'note: {note}' in lines for note in notes)
    (note,) = check('Market1501', market_root, check_counts=False)[0]['notes']
    assert '1 gallery images of no person (pid -1)' in note
    root = tmp_path / 'table'
    for name in ('a', 'b', 'c', 'd', 'unlisted'):
        write_person(root / 'crops' / f'{name}.jpg', ord(name[0]))
    rows = ['path,pid,camid,split', 'crops/a.jpg,1,1,train', 'crops/b.jpg,2,1,train', 'crops/c.jpg,3,1,query']
    (root / 'people.csv').write_text('\n'.join([*rows, 'crops/d.jpg,3,2,gallery']))
    (note,) = check('ReIDTable', root)[0]['notes']
    assert '1 of 5 images' in note and 'unlisted.jpg' in note


def test_few_images_and_one_camera(tmp_path):
    for person in ('anna', 'bob'):
        write_person(tmp_path / 'train' / person / f'4_{person}.jpg', 1)
    parts, _ = load_parts(Config(dict(train_dataloader=config('ReIDFolder', tmp_path).train_dataloader)))
    findings = find_all(parts, read_images(parts, num_workers=1))
    assert warnings_of(findings) == [
        'train: 2 identities have one image only: anna, bob',
        'train: all images are by one camera; the model cannot learn to match across cameras',
    ]


def test_many_examples_are_cut_short(tmp_path):
    for person in range(7):
        write_person(tmp_path / 'train' / str(person) / f'{person % 2}_{person}.jpg', person)
    parts, _ = load_parts(Config(dict(train_dataloader=config('ReIDFolder', tmp_path).train_dataloader)))
    assert warnings_of(find_all(parts, read_images(parts)))[0].endswith('0, 1, 2, 3, 4 and 2 more')


def test_crops_count_and_not_frames(tmp_path):
    write_coco(tmp_path)
    files = {split: f'{split}.json' for split in ('train', 'query', 'gallery')}
    findings, broken, _ = check('CocoPerson', tmp_path, ann_files=files, data_prefix=dict(img_path='frames'))
    assert not broken
    assert findings['parts']['train']['images'] == 24
    assert findings['parts']['train']['height'] == dict(min=40, median=40, max=40)
    # The miniature's frames do not differ: two of each person by each camera, one of them by the query's other camera.
    assert len(findings['duplicates']['train']) == 6
    assert len(findings['queries'][0]['match_themselves']) == 8
    json.dumps(findings)


def test_damaged_masks_are_found(tmp_path):
    write_coco(tmp_path)
    path = tmp_path / 'train.json'
    content = json.loads(path.read_text())
    # Run lengths of a larger image.
    larger = coco_mask.encode(np.asfortranarray(np.ones((200, 200), np.uint8)))
    content['annotations'][0]['segmentation'] = dict(size=[60, 90], counts=larger['counts'].decode())
    path.write_text(json.dumps(content))
    files = {split: f'{split}.json' for split in ('train', 'query', 'gallery')}
    options = dict(ann_files=files, data_prefix=dict(img_path='frames'))
    assert not check('CocoPerson', tmp_path, **options)[1]
    (broken,) = check('CocoPerson', tmp_path, mask_background=True, **options)[1]
    assert '0_0_0.png#xywh=10,10,20,40' in broken and 'damaged' in broken


def test_wrappers_are_looked_into_and_other_data_sets_refused(folder):
    cfg = config('ReIDFolder', folder)
    inner = cfg.train_dataloader.dataset
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[inner, inner]))
    cfg.train_dataloader.dataset = wrapped
    assert [part.name for part in load_parts(cfg)[0]] == ['train', 'query', 'gallery']
    cfg.train_dataloader.dataset = dict(type='CustomDataset', data_root=str(folder / 'train'))
    with pytest.raises(DataError, match='CustomDataset in train_dataloader is no re-identification data set'):
        load_parts(cfg)


def test_progress_bar_on_a_terminal(folder, monkeypatch, capsys):
    parts, _ = load_parts(config('ReIDFolder', folder))
    capsys.readouterr()
    read_images(parts)
    assert not capsys.readouterr().err
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    assert len(read_images(parts)) == 12
    assert '12/12' in capsys.readouterr().err


def test_camera_rule():
    assert camera_rule(Config(dict())) == 'drop'
    assert camera_rule(Config(dict(val_evaluator=dict(type='A', same_camera='keep')))) == 'keep'
    assert camera_rule(Config(dict(test_evaluator=[dict(type='B'), dict(type='A', same_camera='keep')]))) == 'keep'


def test_pixels_decide_what_is_equal(folder):
    source, other = (str(folder / 'train' / 'anna' / f'0_a0{i}.jpg') for i in (0, 1))
    assert image_facts(dict(img_path=source)) == image_facts(dict(img_path=source))
    assert image_facts(dict(img_path=source)).digest != image_facts(dict(img_path=other)).digest


def test_people_go_by_their_names(folder):
    dataset = ReIDFolder(str(folder))
    part = Part('train', 'train', dataset, [dataset.get_data_info(0)])
    assert part.person(dataset.get_data_info(0)['pid']) == 'anna'
    assert MSMT17.pid_names == {}


def test_tracklets_are_counted_and_all_their_frames_read(tmp_path):
    root = write_duke_video(tmp_path)
    damaged = root / 'DukeMTMC-VideoReID/train/0001/0000/0001_C1_F0010_X30943.jpg'
    damaged.write_bytes(damaged.read_bytes()[:60])
    findings, broken, warnings = check('DukeMTMCVideoReID', root, check_counts=False, clip_length=2)
    train, gallery = findings['parts']['train'], findings['parts']['gallery']
    assert (train['tracklets'], train['images'], train['identities']) == (4, 16, 2)
    assert train['frames_per_tracklet'] == dict(min=4, median=4, max=4)
    assert train['tracklets_per_identity'] == dict(min=2, median=2, max=2)
    assert gallery['tracklets'] == 4 and gallery['with_one_tracklet'] == ['7', '9']
    assert list(findings['unreadable']) == [str(damaged)] and len(broken) == 1
    assert not warnings
    assert [queries['number'] for queries in findings['queries']] == [2]
    cells = [[cell.strip() for cell in line.split('|')] for line in report_lines(findings, broken, warnings)]
    assert ['split', 'tracklets', 'frames', 'identities', 'distractors'] in [row[:5] for row in cells]
    assert ['train', '4', '16', '2', '0', '2 / 2 / 2', '4 / 4 / 4'] in [row[:7] for row in cells]


def test_equal_frames_of_several_tracklets(tmp_path):
    root = write_duke_video(tmp_path) / 'DukeMTMC-VideoReID'
    first, *others = sorted((root / 'train/0001/0000').iterdir())
    for other in others:
        shutil.copy(first, other)
    assert not check('DukeMTMCVideoReID', root, check_counts=False)[2]
    for other in (*(root / 'train/0005/0002').iterdir(), *(root / 'gallery/0009/0009').iterdir()):
        shutil.copy(first, other)
    findings, _, warnings = check('DukeMTMCVideoReID', root, check_counts=False)
    assert [warning.split(':')[:2] for warning in warnings] == [
        ['train', ' 1 groups of equal frames'],
        ['train', ' 1 groups of equal frames under several identities'],
        ['train and gallery', ' 4 frames are in both'],
    ]
    assert warnings[0].endswith(' and 3 more') and len(findings['duplicates']['train'][0]['images']) == 8


def test_a_query_tracklet_that_is_in_the_gallery_by_protocol_is_no_finding(tmp_path):
    _, broken, warnings = check('MARS', write_mars(tmp_path), check_counts=False)
    assert not broken and not warnings
    _, _, warnings = check('MARS', tmp_path, check_counts=False, protocol='torchreid')
    (warning,) = warnings
    assert 'query: 2 of 5 queries have no match in the gallery' in warning and '0004C1T0009F001.jpg' in warning
