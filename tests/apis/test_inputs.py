from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from mmosnet.apis.inputs import expand_inputs
from mmosnet.errors import DataError
from tests.conftest import write_person

IMAGE = np.random.RandomState(0).randint(0, 256, (20, 10, 3), dtype=np.uint8)


def names(inputs):
    return [source.name for source in expand_inputs(inputs)]


def test_paths_arrays_folders_and_lists_of_them(tmp_path):
    for name in ('b.jpg', 'a.PNG', 'below/c.jpeg', 'below/deeper/d.bmp', '.hidden.jpg'):
        write_person(tmp_path / 'crops' / name, 1)
    (tmp_path / 'crops' / 'notes.txt').write_text('no image')
    (tmp_path / 'crops' / 'folder.jpg').mkdir()
    one = tmp_path / 'one.jpg'
    write_person(one, 2, height=40, width=30)
    in_folder = [f'{tmp_path}/crops/{name}' for name in ('a.PNG', 'b.jpg', 'below/c.jpeg', 'below/deeper/d.bmp')]

    assert names(one) == names(str(one)) == [f'inputs: {one}']
    assert names(tmp_path / 'crops') == [f'inputs: {file}' for file in in_folder]
    assert names(IMAGE) == ['inputs']
    assert names(np.stack([IMAGE] * 3)) == ['inputs[0]', 'inputs[1]', 'inputs[2]']
    assert names([]) == names(np.zeros((0, 20, 10, 3), np.uint8)) == []
    mixed = [str(one), np.stack([IMAGE] * 2), [IMAGE, f'{one}#xywh=1,2,10,20'], tmp_path / 'crops' / 'below']
    assert names(mixed) == [
        f'inputs[0]: {one}',
        'inputs[1][0]',
        'inputs[1][1]',
        'inputs[2][0]',
        f'inputs[2][1]: {one}#xywh=1,2,10,20',
        f'inputs[3]: {in_folder[2]}',
        f'inputs[3]: {in_folder[3]}',
    ]
    shapes = [source.read().shape for source in expand_inputs(mixed)]
    assert shapes == [(40, 30, 3), *[(20, 10, 3)] * 4, (32, 16, 3), (32, 16, 3)]


def test_regions_are_cut_out(tmp_path):
    cv2.imwrite(str(tmp_path / 'frame.png'), IMAGE)
    (source,) = expand_inputs(f'{tmp_path}/frame.png#xywh=2,3,4,5')
    np.testing.assert_array_equal(source.read(), IMAGE[3:8, 2:6])
    (source,) = expand_inputs([f'{tmp_path}/frame.png#xywh=8,3,4,5'])
    with pytest.raises(DataError, match=r'^inputs\[0\]: .*#xywh=8,3,4,5: .*10x20'):
        source.read()


def test_arrays_that_torch_would_not_take():
    locked = IMAGE.copy()
    locked.flags.writeable = False
    for image in (IMAGE[:, :, ::-1], IMAGE[::2], locked):
        (source,) = expand_inputs(image)
        read = source.read()
        np.testing.assert_array_equal(read, image)
        assert read.flags.c_contiguous and read.flags.writeable


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (IMAGE / 255, r'float64: give \(H, W, 3\) uint8, .*\(255 \* image\)'),
        (IMAGE.astype(np.int64), r'int64: give \(H, W, 3\) uint8, BGR as cv2\.imread reads$'),
        (IMAGE[:, :, 0], r'shape \(20, 10\), .*COLOR_GRAY2BGR'),
        (IMAGE[:, :, :1], r'shape \(20, 10, 1\), .*COLOR_GRAY2BGR'),
        (np.dstack([IMAGE, IMAGE[:, :, :1]]), r'shape \(20, 10, 4\), .*COLOR_BGRA2BGR'),
        (IMAGE.transpose(2, 0, 1), r'shape \(3, 20, 10\), .*image\.transpose\(1, 2, 0\)'),
        (IMAGE[:0], r'shape \(0, 10, 3\), not of \(H, W, 3\)'),
        (np.zeros(3, np.uint8), r'shape \(3,\), not of \(H, W, 3\)'),
        (np.array('a.jpg'), r'shape \(\), not of'),
    ],
)
def test_arrays_that_are_no_images(array, message):
    good, bad = expand_inputs([IMAGE, array])
    assert good.error is None
    with pytest.raises(DataError, match=r'^inputs\[1\] is an array of ' + message):
        bad.read()


def test_a_bad_batch_is_as_many_bad_images():
    sources = list(expand_inputs([np.zeros((3, 4, 4, 3))]))
    assert [source.place for source in sources] == ['inputs[0][0]', 'inputs[0][1]', 'inputs[0][2]']
    assert all(isinstance(source.error, DataError) for source in sources)


def test_what_is_missing_empty_or_something_else(tmp_path):
    (tmp_path / 'empty').mkdir()
    missing, region, empty, nothing = expand_inputs(
        [tmp_path / 'gone.jpg', f'{tmp_path}/gone.jpg#xywh=0,0,1,1', tmp_path / 'empty', None]
    )
    for source in (missing, region):
        assert isinstance(source.error, FileNotFoundError)
        assert str(source.error).endswith(f'no image or folder {tmp_path}/gone.jpg')
    assert str(missing.error).startswith('inputs[0]: ') and region.img_path.endswith('#xywh=0,0,1,1')
    assert isinstance(empty.error, DataError) and 'empty holds no image (.jpg, ' in str(empty.error)
    assert str(nothing.error).startswith('inputs[3] is a NoneType: give a path')


@pytest.mark.parametrize('keep', [0, 0.5])
def test_damaged_files(tmp_path, keep):
    write_person(tmp_path / 'a.jpg', 1)
    data = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(data[: int(keep * len(data))])
    (source,) = expand_inputs([tmp_path / 'a.jpg'])
    with pytest.raises(DataError, match=r'^inputs\[0\]: .*a\.jpg: unreadable image \(.+\)$'):
        source.read()


def test_images_of_pillow():
    (found,) = expand_inputs(Image.fromarray(IMAGE[:, :, ::-1]))
    np.testing.assert_array_equal(found.read(), IMAGE)
    (found,) = expand_inputs([Image.new('F', (9, 9))])
    with pytest.raises(DataError, match=r'inputs\[0\] is a PIL image'):
        found.read()
