import numpy as np
import pytest
from mmengine.logging import MMLogger

from mmosnet.datasets import RAPv1
from mmosnet.errors import DataError
from tests.datasets.attribute_formats import write_rap


def infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


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
    with pytest.raises(DataError, match=r'RAPv1 has no official validation split.*val_share=0\.1, for train'):
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


def test_uncertain_gender_counts_as_absent_and_is_logged(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lines.append)

    def edit(rap):
        rap['label'][:, 0] = 1
        rap['label'][5:8, 0] = 2

    rap = write_rap(tmp_path, edit=edit)
    scores = {
        r['img_path'].split('/')[-1]: r['gt_score'][0] for r in infos(RAPv1(str(tmp_path), split=('train', 'test')))
    }
    assert [number for number in range(50) if scores[rap['imagesname'][number, 0]] == 0] == [5, 6, 7]
    assert any('RAPv1: 3 labels are 2, uncertain' in line for line in lines)


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
def test_broken_file(tmp_path, edit, message):
    write_rap(tmp_path, edit=edit)
    with pytest.raises(DataError, match=r'RAP_annotation\.mat.*' + message):
        RAPv1(str(tmp_path))


def test_missing_file_and_published_numbers(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no annotation .*RAP_annotation.RAP_annotation\.mat or .*rapdataset'):
        RAPv1(str(tmp_path))
    write_rap(tmp_path)
    assert RAPv1(str(tmp_path)).published_counts() == dict(train=33_268, test=8_317)
    assert RAPv1(str(tmp_path), val_share=0.1).published_counts() == dict(test=8_317)
