import cv2
import numpy as np
import pytest
from mmengine import fileio
from PIL import Image

from mmosnet.apis.image_input import take_apart
from mmosnet.apis.image_preparation import ImagePreparation
from mmosnet.datasets import LoadPersonImage
from mmosnet.datasets.data_check import image_facts
from mmosnet.datasets.person_image import read_image
from mmosnet.demo.pictures import ShownPictures, read_uploaded
from mmosnet.errors import DataError
from mmosnet.features.embedder import Embedder
from mmosnet.features.person_box import InputBoxes
from mmosnet.features.person_list import ListedPerson
from mmosnet.io.coco import frame_size
from mmosnet.io.video import read_person
from mmosnet.runtime import ExportedModel, ModelDescription


def test_reads_bgr(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8)
    path = tmp_path / 'person.png'
    cv2.imwrite(str(path), image)
    np.testing.assert_array_equal(read_image(path), image)
    results = LoadPersonImage()(dict(img_path=str(path)))
    np.testing.assert_array_equal(results['img'], image)
    assert results['img_shape'] == results['ori_shape'] == (40, 20)


def test_errors_name_the_option_that_skips(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: unreadable image .*bad_images='skip'"):
        read_image(tmp_path / 'gone.jpg')


def write_sideways(path):
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(path.parent / 'upright.png').transpose(Image.Transpose.ROTATE_270).save(path, exif=exif, quality=95)


WRITERS = {
    'sideways.jpg': write_sideways,
    'sideways.png': write_sideways,
    'sideways.webp': write_sideways,
    'deep.png': lambda path: cv2.imwrite(str(path), np.arange(0, 65536, 82, np.uint16)[:800].reshape(40, 20)),
}


@pytest.mark.parametrize('name', WRITERS)
def test_every_reader_gives_the_same(tmp_path, name):
    cv2.imwrite(str(tmp_path / 'upright.png'), np.random.RandomState(0).randint(0, 256, (40, 20, 3), dtype=np.uint8))
    path = tmp_path / name
    WRITERS[name](path)
    file, region = str(path), f'{path}#xywh=3,11,15,29'
    (source,), (part,) = take_apart(file), take_apart(region)
    prepare = ImagePreparation([dict(type='mmosnet.LoadPersonImage')], 'mmpretrain')
    exported = ExportedModel.__new__(ExportedModel)
    exported.description = ModelDescription(outputs=('embedding',), height=40, width=20)
    shown = ShownPictures([tmp_path], tmp_path / 'enrolled')
    readers = {
        'training': lambda p: LoadPersonImage()(dict(img_path=p))['img'],
        'inference': lambda p: prepare(source if p == file else part)['inputs'].numpy().transpose(1, 2, 0),
        'exported': exported._read,
        'exported features': lambda p: Embedder.read_file(None, p),
        'search': read_person,
        'page': shown.read,
    }
    image = read_image(file)
    assert image.shape == (40, 20, 3)
    for reader, read in readers.items():
        np.testing.assert_array_equal(read(file), image, err_msg=reader)
        np.testing.assert_array_equal(read(region), image[11:40, 3:18], err_msg=reader)
    np.testing.assert_array_equal(read_uploaded(path), image)
    facts = image_facts(dict(img_path=file))
    assert {(facts.height, facts.width), frame_size(file, {}, 'place')} == {(40, 20)}
    boxed = InputBoxes('boxes.csv', 0).person(ListedPerson(file), [0, 0, 99, 99], 'place')
    assert boxed.path == f'{file}#xywh=0,0,20,40'


def test_remote_images_are_read_by_mmengine(monkeypatch):
    image = np.full((4, 2, 3), 7, np.uint8)
    files = {'s3://bucket/a.png': cv2.imencode('.png', image)[1].tobytes(), 's3://bucket/b.png': b'broken'}
    monkeypatch.setattr(fileio, 'get', files.__getitem__)
    np.testing.assert_array_equal(read_image('s3://bucket/a.png'), image)
    with pytest.raises(DataError, match=r's3://bucket/b\.png: unreadable image'):
        read_image('s3://bucket/b.png')
