from __future__ import annotations

import os
import re

import numpy as np
import pytest

from mmosnet.datasets import PA100K, AttributeDataset, Market1501
from mmosnet.datasets.base import AnnotatedSplit, AttributeAnnotation, attribute_metainfo
from mmosnet.errors import DataError
from tests.conftest import write_market, write_person
from tests.datasets.attribute_formats import write_pa100k
from tests.datasets.official_formats import cell, infos

LOAD = [dict(type='mmosnet.LoadPersonImage')]


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


def test_records_of_several_splits_in_their_order(tmp_path):
    variables = write_pa100k(tmp_path)
    dataset = PA100K(str(tmp_path), split=('val', 'test'), test_mode=True)
    found = infos(dataset)
    assert [r['split'] for r in found] == ['val'] * 5 + ['test'] * 7
    assert set(found[0]) == {'img_path', 'gt_score', 'split', 'sample_idx'}
    names = [*variables['val_images_name'][:, 0], *variables['test_images_name'][:, 0]]
    labels = np.vstack([variables['val_label'], variables['test_label']])
    for record, name, label in zip(found, names, labels, strict=True):
        assert record['img_path'] == str(tmp_path / 'data' / name)
        assert record['gt_score'].dtype == np.float32 and record['gt_score'].shape == (26,)
        assert record['gt_score'].tolist() == label.tolist()
    assert dataset.metainfo['task'] == 'attributes'
    assert dataset.metainfo['attributes'] == [f'attribute {i}' for i in range(26)]
    assert 'pos_ratio' not in dataset.metainfo


def test_shares_of_positives_against_counting(tmp_path):
    variables = write_pa100k(tmp_path)
    ratios = PA100K(str(tmp_path)).metainfo['pos_ratio']
    assert all(type(ratio) is float for ratio in ratios)
    for column, ratio in enumerate(ratios):
        positives = 0
        for row in variables['train_label']:
            positives += int(row[column])
        assert ratio == positives / 40
    both = PA100K(str(tmp_path), split=('train', 'val')).metainfo['pos_ratio']
    together = np.vstack([variables['train_label'], variables['val_label']])
    assert both == pytest.approx([sum(column) / 45 for column in together.T.tolist()])


def test_attributes_are_chosen_and_ordered_by_name(tmp_path):
    variables = write_pa100k(tmp_path)
    dataset = PA100K(str(tmp_path), attributes=['attribute 7', 'attribute 2'])
    assert dataset.metainfo['attributes'] == ['attribute 7', 'attribute 2']
    scores = np.stack([r['gt_score'] for r in infos(dataset)])
    assert (scores == variables['train_label'][:, [7, 2]]).all()
    assert dataset.metainfo['pos_ratio'] == pytest.approx(scores.mean(axis=0))
    assert PA100K(str(tmp_path), attributes='all').metainfo['attributes'] == [f'attribute {i}' for i in range(26)]
    assert PA100K(str(tmp_path), attributes='attribute 3').metainfo['attributes'] == ['attribute 3']


@pytest.mark.parametrize(
    ('attributes', 'message'),
    [
        (['attribute 1', 'Hat'], r"annotation\.mat: attributes=.*'Hat'; choose from attribute 0, attribute 1, "),
        ([], 'no name; choose from attribute 0'),
        (['attribute 1', 'attribute 1'], "'attribute 1' has no name, or comes twice"),
    ],
)
def test_wrong_choice_of_attributes(tmp_path, attributes, message):
    write_pa100k(tmp_path)
    with pytest.raises(DataError, match=message):
        PA100K(str(tmp_path), attributes=attributes)


def set_name(split, index, name):
    def edit(variables):
        variables[f'{split}_images_name'][index, 0] = name

    return edit


def set_label(split, index, column, value):
    def edit(variables):
        variables[f'{split}_label'] = variables[f'{split}_label'].astype(float)
        variables[f'{split}_label'][index, column] = value

    return edit


def set_variable(name, change):
    def edit(variables):
        variables[name] = change(variables[name])

    return edit


@pytest.mark.parametrize('version', ['5', '7.3'])
@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (set_name('train', 4, ''), r'train, row 5: the name of the image is empty; name it, or take out'),
        (set_name('train', 0, np.zeros((0, 0))), 'train, row 1: the name of the image is empty'),
        (set_name('train', 2, np.ones((1, 2))), 'train_images_name: cell 3 is no text'),
        (set_name('train', 2, '../x.jpg'), r"train, row 3: the path '\.\./x\.jpg' leaves"),
        (set_name('train', 2, '/etc/passwd'), "train, row 3: the path '/etc/passwd' leaves"),
        (set_name('train', 6, '999999.jpg'), r'train, row 7: no image .*data.999999\.jpg \(1 of 40 are missing\)'),
        (set_label('train', 3, 5, 2), r'train, row 4: attribute 5 is 2\.0, neither 0 nor 1 \(1 such'),
        (set_label('train', 3, 5, -1), r'train, row 4: attribute 5 is -1\.0, neither'),
        (set_label('train', 3, 5, 0.5), r'train, row 4: attribute 5 is 0\.5, neither'),
        (set_label('train', 3, 5, np.nan), 'train, row 4: attribute 5 is nan, neither'),
        (set_variable('train_label', lambda v: v[:-1]), 'train: 40 names of images, but 39 rows of labels'),
        (set_variable('train_label', lambda v: v[:, :-1]), r'train: labels of shape \(40, 25\).*names 26 attributes'),
        (set_variable('attributes', lambda v: v[:-1]), r'labels of shape \(40, 26\).*names 25 attributes'),
        (set_variable('attributes', lambda v: cell([*v[:-1, 0], ''])), "attribute '' has no name"),
        (set_variable('train_label', lambda v: 'none'), 'train_label is no matrix of numbers'),
        (set_variable('train_images_name', lambda v: np.ones((40, 1))), 'train_images_name is no cell array of texts'),
    ],
)
def test_broken_annotation_names_file_split_and_row(tmp_path, edit, message, version):
    write_pa100k(tmp_path, version=version, edit=edit)
    with pytest.raises(DataError, match=r'annotation\.mat.*' + message):
        PA100K(str(tmp_path))


def test_other_splits_need_no_images(tmp_path):
    write_pa100k(tmp_path)
    (tmp_path / 'data' / '000041.jpg').unlink()
    assert len(PA100K(str(tmp_path))) == 40
    with pytest.raises(DataError, match=r'val, row 1: no image'):
        PA100K(str(tmp_path), split='val')


def test_presence_asks_for_each_folder_once(tmp_path, monkeypatch):
    write_pa100k(tmp_path)
    asked, scandir = [], os.scandir
    monkeypatch.setattr(os, 'scandir', lambda folder: asked.append(str(folder)) or scandir(folder))
    PA100K(str(tmp_path), split=('train', 'val'))
    # For each split, and once for images that no split lists.
    assert [folder for folder in asked if folder == str(tmp_path / 'data')] == [str(tmp_path / 'data')] * 3


def test_table_and_published_counts_are_logged(tmp_path, log):
    variables = write_pa100k(tmp_path)
    PA100K(str(tmp_path), split=('val', 'test'))
    table, *warnings = log
    assert f'PA100K in {tmp_path}: 26 attributes' in table
    average = variables['val_label'].sum() / 5
    assert re.search(rf'val\s+\|\s+5 \|\s+{average:.2f}$', table, re.MULTILINE)
    assert re.search(r'test\s+\|\s+7 \|', table)
    assert len(warnings) == 2
    assert 'val has 5 images, published are 10,000' in warnings[0] and 'test has 7' in warnings[1]
    log.clear()
    PA100K(str(tmp_path), check_counts=False)
    assert len(log) == 1


def test_constant_attributes_are_named(tmp_path, log):
    def edit(variables):
        variables['train_label'][:, 3] = 0
        variables['train_label'][:, 8:10] = 1

    write_pa100k(tmp_path, edit=edit)
    PA100K(str(tmp_path), check_counts=False)
    warnings = [line for line in log if 'cannot be learned' in line]
    assert len(warnings) == 2
    assert 'train: no image is labeled to have attribute 3:' in warnings[0]
    assert 'no image is labeled to lack attribute 8, attribute 9:' in warnings[1]
    log.clear()
    PA100K(str(tmp_path), split='test', check_counts=False)
    assert not [line for line in log if 'cannot be learned' in line]


def test_bad_images_are_named_or_skipped(tmp_path, log):
    write_pa100k(tmp_path)
    bad = tmp_path / 'data' / '000003.jpg'
    bad.write_bytes(bad.read_bytes()[:-60])
    dataset = PA100K(str(tmp_path), pipeline=LOAD)
    with pytest.raises(DataError, match=re.escape(str(bad)) + r".*bad_images='skip'"):
        dataset[2]
    skipping = PA100K(str(tmp_path), bad_images='skip', pipeline=LOAD)
    assert len(skipping) == 39
    assert any('PA100K: skipped 1 of 40 train images' in line and str(bad) in line for line in log)
    kept = [r['gt_score'] for r in infos(skipping)]
    assert skipping.metainfo['pos_ratio'] == pytest.approx(np.mean(kept, axis=0))
    assert skipping[2]['img'].shape == (32, 16, 3)
    with pytest.raises(DataError, match="choose 'error' or 'skip'"):
        PA100K(str(tmp_path), bad_images='ignore')


@pytest.mark.parametrize('split', ['query', ('train', 'gallery'), ()])
def test_attribute_dataset_unknown_split(tmp_path, split):
    with pytest.raises(DataError, match='choose from train, val, test'):
        PA100K(str(tmp_path), split=split)


def test_empty_split(tmp_path):
    class Nobody(AttributeDataset):
        def read_annotation(self):
            nothing = AnnotatedSplit('nowhere, train', tmp_path, [], np.zeros((0, 1)))
            return AttributeAnnotation('nowhere', ['hat'], dict(train=nothing))

    with pytest.raises(DataError, match='the train split has no images'):
        Nobody(str(tmp_path))


def test_attribute_dataset_training_pipeline_can_reach_other_images(tmp_path):
    write_pa100k(tmp_path)
    seen = []
    dataset = PA100K(str(tmp_path), pipeline=[seen.append])
    dataset.prepare_data(0)
    assert seen[0]['dataset'] is dataset


def test_facts_leave_out_records_without_labels():
    records = [dict(gt_score=np.array([1.0, 0.0])), dict(), dict(gt_score=np.array([1.0, 1.0]))]
    facts = attribute_metainfo(['hat', 'bag'], records, 'here')
    assert facts == dict(attributes=['hat', 'bag'], pos_ratio=[1.0, 0.5])
    with pytest.raises(DataError, match='here: none of 1 images has attribute labels'):
        attribute_metainfo(['hat'], [dict()], 'here')


def test_packed_sample_has_the_scores(tmp_path):
    variables = write_pa100k(tmp_path)
    sample = PA100K(str(tmp_path), pipeline=[*LOAD, dict(type='mmpretrain.PackInputs')])[1]['data_samples']
    assert sample.gt_score.tolist() == variables['train_label'][1].tolist()
    assert str(sample.gt_score.dtype) == 'torch.float32'
