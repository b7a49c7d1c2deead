"""Miniatures of data sets in their on-disk formats, MATLAB files as MATLAB writes them.

Where a docstring says "not checked against the official file", the form was taken from published code that reads the
data set, and from its authors' description.
"""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat

from tests.conftest import write_person


def infos(dataset) -> list[dict]:
    """Return all records of a data set."""
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def cell(values: list, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A MATLAB cell array for scipy; a column without a shape."""
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape or (len(values), 1), order='F')


class Hdf5Mat:
    """Writes variables the way MATLAB 7.3 does: transposed, cells as references, text as uint16."""

    def __init__(self, path: Path) -> None:
        # MATLAB's text stands in a block of 512 bytes in front of the HDF5 data.
        self.file = h5py.File(path, 'w', userblock_size=512)
        self.path = path
        self.count = 0

    def write(self, name: str, value: object) -> h5py.Dataset | h5py.Group:
        if isinstance(value, dict):
            group = self.file.create_group(name)
            names = [np.array(list(field), 'S1') for field in value]
            fields = np.empty(len(names), object)
            fields[:] = names
            group.attrs.create('MATLAB_fields', fields, dtype=h5py.vlen_dtype(np.dtype('S1')))
            group.attrs['MATLAB_class'] = np.bytes_('struct')
            for field, content in value.items():
                self.write(f'{name}/{field}', content)
            return group
        if isinstance(value, str):
            data = self.file.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16))
            data.attrs['MATLAB_class'] = np.bytes_('char')
            return data
        if value.dtype == object:
            references = np.empty(value.shape, h5py.ref_dtype)
            for index in np.ndindex(value.shape):
                self.count += 1
                references[index] = self.write(f'#refs#/{self.count}', value[index]).ref
            data = self.file.create_dataset(name, data=references.T, dtype=h5py.ref_dtype)
            data.attrs['MATLAB_class'] = np.bytes_('cell')
            return data
        if not value.size:
            data = self.file.create_dataset(name, data=np.zeros(2, np.uint64))
            data.attrs['MATLAB_empty'] = 1
            return data
        return self.file.create_dataset(name, data=value.T)

    def close(self) -> None:
        self.file.close()
        with self.path.open('r+b') as file:
            file.write(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(128))


def write_mat(path: Path, variables: dict, version: str = '5') -> Path:
    """Write a MATLAB file of version ``'5'`` or ``'7.3'``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if version == '5':
        savemat(path, variables)
        return path
    writer = Hdf5Mat(path)
    for name, value in variables.items():
        writer.write(name, value)
    writer.close()
    return path


def write_grid(root: Path, version: str = '5') -> Path:
    """GRID: 250 pairs and some distractors; ten splits of 125 training identities; not checked against the official
    file. The first two fields of a split and their names are made up: published code takes the third."""
    for pid in range(1, 251):
        write_person(root / 'probe' / f'{pid:04d}_1_25004_107_32_106_221.jpeg', pid, 8, 4)
        write_person(root / 'gallery' / f'{pid:04d}_2_25023_116_134_128_330.jpeg', pid, 8, 4)
    for index in range(775):
        write_person(root / 'gallery' / f'0000_{index % 6 + 3}_{index:05d}.jpeg', 0, 8, 4)
    random = np.random.RandomState(0)
    partitions = []
    for _ in range(10):
        order = random.permutation(250) + 1
        partitions.append(
            dict(
                idxTrain=np.zeros((1, 2)),
                idxTest=np.zeros((1, 2)),
                trainPids=np.sort(order[:125])[None].astype(float),
            )
        )
    write_mat(root / 'features_and_partitions.mat', {'trainIdxAll': cell(partitions, (1, 10))}, version)
    return root


def write_viper(root: Path, num_pids: int = 632) -> Path:
    """VIPeR: one image of each person in each folder; not checked against the official files."""
    for pid in range(num_pids):
        write_person(root / 'cam_a' / f'{pid:03d}_45.bmp', pid, 8, 4)
        write_person(root / 'cam_b' / f'{pid:03d}_90.bmp', pid, 8, 4)
    return root


def write_msmt17(root: Path, version: str = 'V1') -> Path:
    """MSMT17: training and test identities both start at 0; not checked against the official files."""
    train, test = dict(V1=('train', 'test'), V2=('mask_train_v2', 'mask_test_v2'))[version]
    lists = {'train': [], 'val': [], 'query': [], 'gallery': []}
    for pid in range(6):
        for camera in (1, 15):
            for index in range(4):
                name = f'{pid:04d}/{pid:04d}_{index:03d}_{camera:02d}_0303morning_0008_{index}.jpg'
                write_person(root / train / name, pid, 8, 4)
                lists['val' if index == 3 else 'train'].append(f'{name} {pid}')
                if pid < 4:
                    write_person(root / test / name, pid + 50, 8, 4)
                    lists['gallery' if index else 'query'].append(f'{name} {pid}')
    for name, lines in lists.items():
        (root / f'list_{name}.txt').write_text('\n'.join(lines) + '\n')
    return root


def cuhk03_image(pair: int, person: int, index: int) -> np.ndarray:
    """A picture that tells where it came from: red the pair, green the person, blue the image."""
    image = np.zeros((6, 4, 3), np.uint8)
    image[:] = (40 * pair, 20 * person, 20 * index)
    return image


def write_cuhk03(root: Path, version: str = '7.3', people: tuple[int, ...] = (4, 3)) -> Path:
    """CUHK03: camera pairs with some people each; the second image of the second person is an empty cell. Not checked
    against the official files."""
    pairs = []
    for pair, number in enumerate(people, start=1):
        images = [
            np.zeros((0, 0), np.uint8) if (person, index) == (2, 2) else cuhk03_image(pair, person, index)
            for index in range(1, 11)
            for person in range(1, number + 1)
        ]
        pairs.append(cell(images, (number, 10)))
    test_sets = cell([np.array([[1.0, 1 + split % 4], [2.0, 1.0]]) for split in range(20)])
    variables = {'detected': cell(pairs), 'labeled': cell(pairs), 'testsets': test_sets}
    write_mat(root / 'cuhk03_release' / 'cuhk-03.mat', variables, version)
    names, labels = [], []
    for pair, number in enumerate(people, start=1):
        for person in range(1, number + 1):
            for index in range(1, 11):
                if (person, index) != (2, 2):
                    names.append(f'{pair}_{person:03d}_{1 if index < 6 else 2}_{index:02d}.png')
                    labels.append(sum(people[: pair - 1]) + person)
    labels = np.array(labels)
    train = np.flatnonzero(labels <= 4) + 1
    test = np.flatnonzero(labels > 4) + 1
    query = [test[np.flatnonzero(labels[test - 1] == pid)[0]] for pid in sorted(set(labels[test - 1].tolist()))]
    for boxes in ('detected', 'labeled'):
        write_mat(
            root / f'cuhk03_new_protocol_config_{boxes}.mat',
            {
                'filelist': cell(names),
                'labels': labels[:, None].astype(float),
                'train_idx': train[:, None].astype(float),
                'query_idx': np.array(query)[:, None].astype(float),
                'gallery_idx': np.setdiff1d(test, query)[:, None].astype(float),
            },
        )
    return root
