import re

import pytest
from mmengine.logging import MMLogger

from mmosnet.datasets import Market1501
from mmosnet.errors import DataError
from tests.conftest import write_market, write_person

LOAD = [dict(type='mmosnet.LoadPersonImage')]


@pytest.fixture
def log(monkeypatch):
    """What the data sets log, as text."""
    lines = []
    logger = MMLogger.get_current_instance()
    for level in ('info', 'warning'):
        monkeypatch.setattr(logger, level, lines.append)
    return lines


def test_training_records(market_root):
    dataset = Market1501(str(market_root), split='train')
    assert len(dataset) == 6 * 2 * 2
    labels = {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert set(info) == {'img_path', 'pid', 'camid', 'split', 'gt_label', 'sample_idx'}
        assert info['split'] == 'train'
        labels[info['pid']] = info['gt_label']
    assert labels == {pid: pid - 1 for pid in range(1, 7)}
    assert dataset.metainfo['num_train_pids'] == 6


def test_labels_are_contiguous_when_pids_are_not(tmp_path):
    for pid in (1500, 2, 7):
        write_person(tmp_path / 'bounding_box_train' / f'{pid:04d}_c1s1_000001_00.jpg', pid)
    dataset = Market1501(str(tmp_path), split='train')
    infos = [dataset.get_data_info(i) for i in range(3)]
    assert {info['pid']: info['gt_label'] for info in infos} == {2: 0, 7: 1, 1500: 2}


def test_query_and_gallery_keep_distractors_and_drop_junk(market_root):
    dataset = Market1501(str(market_root), split=('query', 'gallery'), test_mode=True)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [i['split'] for i in infos] == ['query'] * 8 + ['gallery'] * 9
    assert sum(i['pid'] == 0 for i in infos) == 1
    assert all(i['pid'] >= 0 for i in infos)
    assert {i['camid'] for i in infos} == {0, 1}
    assert all('gt_label' not in i for i in infos)
    assert dataset.metainfo['num_cross_camera_queries'] == 8


def test_table_is_logged(market_root, log):
    Market1501(str(market_root), split=('query', 'gallery'), check_counts=False)
    (table,) = log
    assert re.search(r'query\s+\|\s+8 \|\s+4 \|\s+2 \|\s+0$', table, re.MULTILINE)
    # Distractors are images, not identities.
    assert re.search(r'gallery\s+\|\s+9 \|\s+4 \|\s+2 \|\s+1$', table, re.MULTILINE)


def test_missing_folder_names_it_and_the_download_page(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        Market1501(str(tmp_path / 'nowhere'))
    message = str(error.value)
    assert str(tmp_path / 'nowhere' / 'bounding_box_train') in message
    assert Market1501.download_page in message


def test_folder_without_images(tmp_path):
    (tmp_path / 'bounding_box_train').mkdir()
    (tmp_path / 'bounding_box_train' / 'Thumbs.db').touch()
    with pytest.raises(DataError, match='holds no image'):
        Market1501(str(tmp_path))


def test_no_name_matches(tmp_path):
    write_person(tmp_path / 'bounding_box_train' / 'IMG_17.jpg', 1)
    with pytest.raises(DataError, match=r"none of the 1 images in .* the first is 'IMG_17.jpg'"):
        Market1501(str(tmp_path))


def test_some_names_do_not_match(market_root, log):
    write_person(market_root / 'bounding_box_train' / 'IMG_17.jpg', 1)
    assert len(Market1501(str(market_root))) == 24
    assert any('ignored 1 images' in line and 'IMG_17.jpg' in line for line in log)


def test_only_junk_is_empty(tmp_path):
    write_person(tmp_path / 'query' / '-1_c1s1_000001_00.jpg', -1)
    with pytest.raises(DataError, match='the query split has no images'):
        Market1501(str(tmp_path), split='query')


@pytest.mark.parametrize('split', ['test', ('query', 'all'), ()])
def test_unknown_split(market_root, split):
    with pytest.raises(DataError, match='choose from train, query, gallery'):
        Market1501(str(market_root), split=split)


def test_unknown_policy_for_bad_images(market_root):
    with pytest.raises(DataError, match="choose 'error' or 'skip'"):
        Market1501(str(market_root), bad_images='ignore')


def break_images(root):
    folder = root / 'bounding_box_train'
    names = sorted(folder.iterdir())
    names[0].write_bytes(names[0].read_bytes()[:-60])
    names[5].write_bytes(b'')
    return names[0], names[5]


def test_bad_image_is_named_when_met(market_root):
    truncated, empty = break_images(market_root)
    dataset = Market1501(str(market_root), pipeline=LOAD)
    for index, path in ((0, truncated), (5, empty)):
        with pytest.raises(DataError, match=re.escape(str(path)) + r".*bad_images='skip'"):
            dataset[index]
    assert dataset[1]['img'].shape == (32, 16, 3)


def test_bad_images_are_skipped_counted_and_listed(market_root, log):
    truncated, empty = break_images(market_root)
    dataset = Market1501(str(market_root), bad_images='skip', pipeline=LOAD)
    assert len(dataset) == 22
    warning = next(line for line in log if 'skipped' in line)
    assert 'skipped 2 of 24 train images' in warning
    assert str(truncated) in warning and str(empty) in warning
    for i in range(len(dataset)):
        assert dataset[i]['img'] is not None


def test_single_camera_data_are_noticed(tmp_path):
    write_market(tmp_path, cameras=1)
    dataset = Market1501(str(tmp_path), split=('query', 'gallery'))
    assert dataset.metainfo['num_cross_camera_queries'] == 0


def test_training_pipeline_can_reach_other_images(market_root):
    seen = []
    dataset = Market1501(str(market_root), pipeline=[seen.append])
    dataset.prepare_data(0)
    assert seen[0]['dataset'] is dataset
