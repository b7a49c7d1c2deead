import shutil
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from mmosnet.datasets import CUHK03
from mmosnet.errors import DataError
from tests.datasets.official_formats import cell, cuhk03_image, write_cuhk03, write_mat

SPLITS = ('train', 'query', 'gallery')


def load(root, **options):
    dataset = CUHK03(data_root=str(root), split=SPLITS, pipeline=[], lazy_init=True, check_counts=False, **options)
    records = dataset.load_data_list()
    return {split: [r for r in records if r['split'] == split] for split in SPLITS}


@pytest.fixture
def root(tmp_path):
    return write_cuhk03(tmp_path / 'cuhk03')


@pytest.mark.parametrize('version', ['5', '7.3'])
@pytest.mark.parametrize('boxes', ['detected', 'labeled'])
def test_new_protocol(tmp_path, version, boxes):
    root = write_cuhk03(tmp_path, version)
    records = load(root, boxes=boxes)
    # Seven people with ten images, less one empty cell in each pair; people 1 to 4 train.
    assert [len(records[split]) for split in SPLITS] == [39, 3, 26]
    assert {r['pid'] for r in records['train']} == {1, 2, 3, 4}
    assert {r['pid'] for r in records['query']} == {r['pid'] for r in records['gallery']} == {5, 6, 7}
    assert not {r['img_path'] for r in records['query']} & {r['img_path'] for r in records['gallery']}
    for record in [record for split in SPLITS for record in records[split]]:
        pair, person, view, index = (int(n) for n in record['img_path'].rpartition('/')[2][:-4].split('_'))
        assert record['camid'] == view - 1 == (index > 5)
        # The picture is upright and has its colors in the right order.
        image = cv2.imread(record['img_path'])
        assert image.shape == (6, 4, 3)
        assert np.array_equal(image[..., ::-1], cuhk03_image(pair, person, index))
    assert f'images_{boxes}' in records['query'][0]['img_path']


def test_classic_protocol(root):
    records = load(root, protocol='classic', split_index=1)
    # The second test set: person 2 of pair 1 and person 1 of pair 2.
    assert {r['img_path'].rpartition('/')[2][:5] for r in records['query']} == {'1_002', '2_001'}
    assert [(r['img_path'], r['pid']) for r in records['query']] == [
        (r['img_path'], r['pid']) for r in records['gallery']
    ]
    assert len(records['query']) == 19 and len(records['train']) == 68 - 19
    assert not {r['pid'] for r in records['train']} & {r['pid'] for r in records['query']}
    assert CUHK03(data_root=str(root), protocol='classic', lazy_init=True).num_splits == 20


def test_extracted_folders_need_no_raw_file(root):
    load(root, protocol='classic')
    shutil.rmtree(root / 'cuhk03_release')
    assert len(load(root)['train']) == 39
    assert len(load(root, protocol='classic')['query']) == 20
    (root / 'classic_test_sets.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'classic test sets are in cuhk-03\.mat alone'):
        load(root, protocol='classic')
    with pytest.raises(FileNotFoundError, match=r'neither .*images_labeled nor cuhk-03\.mat'):
        load(root, boxes='labeled')


def test_interrupted_extraction_goes_on(root, monkeypatch):
    import mmosnet.datasets.cuhk03 as extraction

    whole = extraction._write_image
    written = []

    def interrupted(path, content):
        if len(written) == 20:
            raise KeyboardInterrupt
        written.append(path.name)
        whole(path, content)

    monkeypatch.setattr(extraction, '_write_image', interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(root)
    assert not (root / 'images_detected').exists()
    again = []
    monkeypatch.setattr(
        extraction, '_write_image', lambda path, content: (again.append(path.name), whole(path, content))
    )
    assert len(load(root)['train']) == 39
    assert len(list((root / 'images_detected').iterdir())) == 68 and len(again) == 68 - 20


def count_images(root):
    return sum(len(records) for records in load(root).values())


def test_processes_that_start_together_extract_once(root):
    with get_context('fork').Pool(2) as pool:
        assert pool.map(count_images, [root, root]) == [68, 68]
    assert not list(root.glob('*.part'))


def test_errors_name_the_file(root, tmp_path):
    config = root / 'cuhk03_new_protocol_config_detected.mat'
    good = config.read_bytes()
    one = np.ones((1, 1))
    write_mat(config, {'filelist': cell(['1_001_1_01.png']), 'labels': one, 'train_idx': 9 * one})
    with pytest.raises(ValueError, match='train_idx points outside of filelist, which has 1 names'):
        load(root)
    write_mat(config, {'filelist': cell(['9_001_1_01.png']), 'labels': one, 'train_idx': one})
    with pytest.raises(ValueError, match=r"filelist names '9_001_1_01\.png', which is not in .*images_detected"):
        load(root)
    for variables, message in (
        ({'filelist': cell(['1_001_1_01.png']), 'labels': one * np.nan, 'train_idx': one}, 'labels: value 1 is nan'),
        ({'filelist': cell(['1_001_1_01.png']), 'labels': one, 'train_idx': one * 1.5}, 'train_idx: value 1 is 1.5'),
        ({'filelist': one, 'labels': one, 'train_idx': one}, 'filelist is no cell array'),
        ({'filelist': cell(['../1_001_1_01.png']), 'labels': one, 'train_idx': one}, 'leaves'),
    ):
        write_mat(config, variables)
        with pytest.raises(DataError, match=message):
            load(root)
    load(root, protocol='classic')
    for text in ('[', '[[[1, 2]]]', '{}', '[[[1, "a"]]]', '3'):
        (root / 'classic_test_sets.json').write_text(text)
        with pytest.raises(DataError, match=r'classic_test_sets\.json'):
            load(root, protocol='classic')
    config.unlink()
    with pytest.raises(FileNotFoundError, match='cuhk03_new_protocol_config_detected'):
        load(root)
    config.write_bytes(good[:200])
    with pytest.raises(ValueError, match=r'config_detected\.mat.*damaged'):
        load(root)
    for options, message in (
        (dict(protocol='old'), "protocol='old'"),
        (dict(boxes='drawn'), "boxes='drawn'"),
        (dict(split_index=1), 'split_index=1: the new protocol has splits 0 to 0'),
    ):
        with pytest.raises(ValueError, match=message):
            load(root, **options)
    with pytest.raises(FileNotFoundError, match='must hold one of them'):
        load(tmp_path / 'nowhere')
