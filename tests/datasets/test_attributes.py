from __future__ import annotations

import json

import numpy as np
import pytest

from mmosnet.datasets import PA100K, PETA, RAPv1
from mmosnet.errors import DataError
from tests.datasets.attribute_formats import PETA_EVALUATED, write_pa100k, write_peta, write_rap
from tests.datasets.official_formats import cell, infos


@pytest.mark.parametrize('annotation', ['annotation/annotation.mat', 'annotation.mat'])
@pytest.mark.parametrize('version', ['5', '7.3'])
def test_both_layouts_and_kinds_of_files(tmp_path, annotation, version):
    variables = write_pa100k(tmp_path, annotation, version)
    dataset = PA100K(str(tmp_path), split='test', test_mode=True)
    scores = np.stack([dataset.get_data_info(i)['gt_score'] for i in range(len(dataset))])
    assert np.array_equal(scores, variables['test_label'])
    assert dataset.metainfo['attributes'][25] == 'attribute 25'


def test_published_numbers():
    assert PA100K.published_counts(None) == dict(train=80_000, val=10_000, test=10_000)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        PA100K(str(tmp_path))
    for text in ('annotation/annotation.mat or ', str(tmp_path / 'annotation.mat'), PA100K.download_page):
        assert text in str(error.value)
    write_pa100k(tmp_path)
    (tmp_path / 'data').rename(tmp_path / 'images')
    with pytest.raises(FileNotFoundError, match=r'no folder .*data; the images must be in it\. PA100K comes from'):
        PA100K(str(tmp_path))


def test_missing_variable(tmp_path):
    write_pa100k(tmp_path, edit=lambda variables: variables.pop('val_label'))
    with pytest.raises(DataError, match=r"annotation\.mat has no variable 'val_label'; it has attributes"):
        PA100K(str(tmp_path))


def test_images_that_no_split_lists_are_counted(tmp_path):
    write_pa100k(tmp_path)
    assert not any('no split' in note for note in PA100K(str(tmp_path)).notes)
    for name in ('other_1.jpg', 'other_2.jpg'):
        (tmp_path / 'data' / name).write_bytes(b'')
    (note,) = [note for note in PA100K(str(tmp_path)).notes if 'no split' in note]
    assert 'left out 2 images' in note and 'other_1.jpg' in note


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_images_and_labels_of_each_split(tmp_path, version):
    peta = write_peta(tmp_path, version)
    for split, size in (('train', 10), ('val', 2), ('test', 8)):
        numbers = peta['partion_attribute'][0, 0][split][:, 0].astype(int)
        dataset = PETA(str(tmp_path), split=split)
        assert len(dataset) == size
        for number, record in zip(numbers, infos(dataset), strict=True):
            assert record['img_path'] == str(tmp_path / 'images' / f'{number:05d}.png')
            # The row of the image, without the first four columns.
            assert record['gt_score'].tolist() == peta['data'][number - 1, 4:39].tolist()
    names = dataset.metainfo['attributes']
    assert names == PETA_EVALUATED and len(names) == 35
    assert (names[0], names[-1]) == ('personalLess30', 'upperBodyVNeck')


def test_each_label_stands_under_its_name(tmp_path):
    # Row i of 105 has label i alone.
    def edit(peta):
        peta['data'][:, 4:] = np.eye(105)

    write_peta(tmp_path, number=105, edit=edit)
    for protocol in ('random', 'zero_shot'):
        splits = dict(train=[f'{i:05d}.png' for i in range(1, 106)], val=[], test=[])
        (tmp_path / 'peta_zero_shot.json').write_text(json.dumps(splits))
        dataset = PETA(str(tmp_path), protocol=protocol, split='train')
        for record in infos(dataset):
            number = int(record['img_path'][-9:-4])
            found = [name for name, has in zip(PETA_EVALUATED, record['gt_score'], strict=True) if has]
            assert found == PETA_EVALUATED[number - 1 : number]


def test_partitions_differ(tmp_path):
    peta = write_peta(tmp_path)
    dataset = PETA(str(tmp_path), partition=3)
    expected = [f'{int(n):05d}.png' for n in peta['partion_attribute'][3, 0]['train'][:, 0]]
    assert [r['img_path'][-9:] for r in infos(dataset)] == expected
    assert expected != [r['img_path'][-9:] for r in infos(PETA(str(tmp_path)))]
    with pytest.raises(DataError, match=r'partition=5: .*PETA\.mat, partion_attribute has partitions 0 to 4'):
        PETA(str(tmp_path), partition=5)


def test_which_attributes_are_evaluated(tmp_path):
    # Numbers of columns of data, from 1.
    write_peta(tmp_path, edit=lambda peta: peta.update(selected_attribute=np.array([[7.0], [5.0], [109.0]])))
    names = ['personalLess60', 'personalLess30', 'attribute 104']
    assert PETA(str(tmp_path)).metainfo['attributes'] == names
    assert len(PETA(str(tmp_path), attributes='all').metainfo['attributes']) == 105
    write_peta(tmp_path, edit=lambda peta: peta.pop('selected_attribute'))
    assert PETA(str(tmp_path)).metainfo['attributes'] == PETA_EVALUATED
    assert len(PETA(str(tmp_path), attributes=['personalLess30']).metainfo['attributes']) == 1


@pytest.mark.parametrize('column', [4, 110, 5.5])
def test_a_selected_column_without_labels(tmp_path, column):
    write_peta(tmp_path, edit=lambda peta: peta.update(selected_attribute=np.array([[5.0, column]])))
    with pytest.raises(DataError, match=rf'selected_attribute has {column}\b.* 5 to 109'):
        PETA(str(tmp_path))


def test_fields_under_other_names_are_taken_by_their_order(tmp_path):
    def edit(peta):
        for old, new in (('data', 'd'), ('attribute', 'a'), ('selected_attribute', 's'), ('partion_attribute', 'p')):
            peta[new] = peta.pop(old)
        peta['p'] = cell([dict(zip('xyz', part.values(), strict=True)) for part in peta['p'][:, 0]])

    peta = write_peta(tmp_path, edit=edit)
    found = infos(PETA(str(tmp_path), split='test'))
    assert [int(r['img_path'][-9:-4]) for r in found] == peta['p'][0, 0]['z'][:, 0].tolist()


def drop_row(peta):
    peta['data'] = peta['data'][:, :-1]


def set_number(split, value):
    def edit(peta):
        peta['partion_attribute'][0, 0][split][0, 0] = value

    return edit


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (drop_row, r'train: labels of shape \(10, 104\), but the file names 105 attributes'),
        (set_number('val', 21), 'val: no image 21; images count from 1 to 20'),
        (set_number('val', 0), 'val: no image 0; images count'),
        (set_number('val', 1.5), r'val: no image 1\.5; images count'),
        (
            lambda peta: peta['partion_attribute'][0, 0].pop('test'),
            'partition 0 is no structure with the fields train, val',
        ),
        (lambda peta: peta.pop('attribute'), "peta has no field 'attribute'; it has data, selected"),
        (lambda peta: peta.update(data='x'), 'data is no matrix of numbers'),
    ],
)
def test_broken_file(tmp_path, edit, message):
    write_peta(tmp_path, edit=edit)
    with pytest.raises(DataError, match=r'PETA\.mat.*' + message):
        PETA(str(tmp_path))


def test_an_image_in_two_splits(tmp_path):
    def edit(peta):
        peta['partion_attribute'][0, 0]['test'][0, 0] = peta['partion_attribute'][0, 0]['train'][0, 0]

    write_peta(tmp_path, edit=edit)
    with pytest.raises(DataError, match=r'image \d+ is in train and in test; splits must not overlap'):
        PETA(str(tmp_path))


def test_missing_file_and_published_numbers(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotation .*PETA\.mat\. .*pedestrian-attribute-recognition'):
        PETA(str(tmp_path))
    write_peta(tmp_path)
    assert PETA(str(tmp_path)).published_counts() == dict(train=9_500, val=1_900, test=7_600)


def test_label_of_an_image_is_named_by_its_number(tmp_path):
    def edit(peta):
        peta['data'][int(peta['partion_attribute'][0, 0]['train'][2, 0]) - 1, 4 + 6] = 7

    peta = write_peta(tmp_path, edit=edit)
    number = int(peta['partion_attribute'][0, 0]['train'][2, 0])
    with pytest.raises(DataError, match=rf'PETA\.mat, train, row {number}: lowerBodyCasual is 7\.0, neither 0 nor 1'):
        PETA(str(tmp_path))
    # Nobody asked for that one.
    assert len(PETA(str(tmp_path), attributes=['carryingOther'])) == 10


SPLITS = dict(train=['00003.png', '00001.png'], val=['00002.png'], test=['00020.png'])


def test_zero_shot_splits(tmp_path):
    peta = write_peta(tmp_path)
    (tmp_path / 'peta_zero_shot.json').write_text(json.dumps(SPLITS))
    found = infos(PETA(str(tmp_path), protocol='zero_shot'))
    assert [r['img_path'][-9:] for r in found] == ['00003.png', '00001.png']
    assert found[0]['gt_score'].tolist() == peta['data'][2, 4:39].tolist()
    other = PETA(str(tmp_path), protocol='zero_shot', split='test')
    assert other.published_counts() == {}
    assert [r['img_path'][-9:] for r in infos(other)] == ['00020.png']
    with pytest.raises(DataError, match="protocol='zs': choose from random, zero_shot"):
        PETA(str(tmp_path), protocol='zs')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\x80\x04\x95pickle', r'zs\.json is no JSON .*pickles are not read'),
        (b'{"train": [', 'is no JSON'),
        (b'[1, 2]', "has no list 'train'"),
        (json.dumps(dict(SPLITS, val=None)).encode(), "has no list 'val'"),
        (json.dumps(dict(SPLITS, val=['x.png'])).encode(), r"zs\.json, val: no image 'x\.png'; names are like '00001"),
        (json.dumps(dict(SPLITS, val=[2])).encode(), 'val: no image 2; names'),
        (json.dumps(dict(SPLITS, val=['00001.png'])).encode(), 'image 1 is in train and in val'),
    ],
)
def test_broken_zero_shot_file(tmp_path, content, message):
    write_peta(tmp_path)
    (tmp_path / 'zs.json').write_bytes(content)
    with pytest.raises(DataError, match=message):
        PETA(str(tmp_path), protocol='zero_shot', zero_shot_file='zs.json')


def test_missing_zero_shot_file_says_how_to_make_it(tmp_path):
    write_peta(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'peta_zero_shot\.json with the splits.*Rethinking_of_PAR'):
        PETA(str(tmp_path), protocol='zero_shot')
    assert 'json.dump(splits' in PETA.__doc__


def names(dataset):
    return [r['img_path'] for r in infos(dataset)]


@pytest.mark.parametrize('version', ['5', '7.3'])
@pytest.mark.parametrize('annotation', ['RAP_annotation/RAP_annotation.mat', 'RAP_annotation.mat'])
def test_images_and_labels_of_a_partition(tmp_path, annotation, version):
    rap = write_rap(tmp_path, annotation, version)
    for partition, split, size in ((0, 'train', 40), (2, 'test', 10)):
        dataset = RAPv1(str(tmp_path), split=split, partition=partition)
        assert len(dataset) == size
        for number, record in zip(rap['partion'][partition, 0][split][0].astype(int), infos(dataset), strict=True):
            assert record['img_path'] == str(tmp_path / 'RAP_dataset' / rap['imagesname'][number - 1, 0])
            assert record['gt_score'].tolist() == rap['label'][number - 1, :51].tolist()
    assert dataset.metainfo['attributes'] == [f'attribute {i}' for i in range(51)]
    assert RAPv1(str(tmp_path), attributes='all').metainfo['attributes'][91] == 'attribute 91'


def test_no_official_validation_split(tmp_path):
    write_rap(tmp_path)
    with pytest.raises(DataError, match=r'RAPv1 has no official validation split.*val_share=0\.1'):
        RAPv1(str(tmp_path), split='val')
    with pytest.raises(DataError, match=r'val_share=1\.0 is no share'):
        RAPv1(str(tmp_path), split='val', val_share=1.0)


def test_held_out_validation_split(tmp_path):
    write_rap(tmp_path)
    everything = names(RAPv1(str(tmp_path)))
    train = names(RAPv1(str(tmp_path), val_share=0.2))
    val = names(RAPv1(str(tmp_path), val_share=0.2, split='val'))
    test = names(RAPv1(str(tmp_path), val_share=0.2, split='test'))
    assert len(val) == 8 and len(train) == 32
    assert sorted(train + val) == sorted(everything) and not set(test) & set(everything)
    # The same on every machine.
    assert val == names(RAPv1(str(tmp_path), val_share=0.2, split='val'))
    assert val != names(RAPv1(str(tmp_path), val_share=0.2, val_seed=1, split='val'))
    order = np.random.RandomState(0).permutation(40)[:8]
    numbers = np.array(sorted(everything, key=lambda name: -int(name[-9:-4])))
    assert sorted(val) == sorted(numbers[order].tolist())


def test_uncertain_gender_counts_as_absent_and_is_logged(tmp_path, log):
    def edit(rap):
        rap['label'][:, 0] = 1
        rap['label'][5:8, 0] = 2

    rap = write_rap(tmp_path, edit=edit)
    scores = {
        r['img_path'].split('/')[-1]: r['gt_score'][0] for r in infos(RAPv1(str(tmp_path), split=('train', 'test')))
    }
    assert [number for number in range(50) if scores[rap['imagesname'][number, 0]] == 0] == [5, 6, 7]
    assert any('RAPv1: 3 labels are 2, uncertain' in line for line in log)


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda rap: rap['label'].__setitem__((slice(None), 4), 3), 'attribute 4 is 3, neither 0 nor 1'),
        (lambda rap: rap.update(label=rap['label'][:-1]), '50 images, but 49 rows of labels'),
        (lambda rap: rap.pop('partion'), 'RAP_annotation has no field partion; it has label, position'),
        (
            lambda rap: rap['imagesname'].__setitem__((slice(None), 0), ''),
            r'train, row \d+: the name of the image is empty',
        ),
    ],
)
def test_rap_broken_file(tmp_path, edit, message):
    write_rap(tmp_path, edit=edit)
    with pytest.raises(DataError, match=r'RAP_annotation\.mat.*' + message):
        RAPv1(str(tmp_path))


def test_rap_missing_file_and_published_numbers(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotation .*RAP_annotation.RAP_annotation\.mat or .*rapdataset'):
        RAPv1(str(tmp_path))
    write_rap(tmp_path)
    assert RAPv1(str(tmp_path)).published_counts() == dict(train=33_268, test=8_317)
    assert RAPv1(str(tmp_path), val_share=0.1).published_counts() == dict(test=8_317)
