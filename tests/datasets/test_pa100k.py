import numpy as np
import pytest

from mmosnet.datasets import PA100K
from mmosnet.errors import DataError
from tests.datasets.attribute_formats import write_pa100k


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
