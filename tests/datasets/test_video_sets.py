from __future__ import annotations

import glob
import json
import os
import shutil

import numpy as np
import pytest
import torch

from mmosnet.datasets import ILIDSVID, MARS, PRID2011, DukeMTMCVideoReID
from mmosnet.errors import DataError
from mmosnet.evaluation import ReIDMetric
from mmosnet.evaluation.distances import Embeddings, pairwise_distance
from mmosnet.evaluation.ranking import cmc_curve, match_ranks, retrieval_scores
from tests.datasets.official_formats import write_mat
from tests.datasets.video_formats import (
    ILIDS_PEOPLE,
    MARS_QUERIES,
    MARS_TEST,
    MARS_TRAIN,
    ilids_splits,
    mars_names,
    mars_table,
    prid_splits,
    write_duke_video,
    write_frame,
    write_ilids,
    write_mars,
    write_prid,
)
from tests.evaluation.mars_protocol import official_mars

SPLITS = ('train', 'query', 'gallery')


def load(dataset_class, root, split=SPLITS, **options):
    """Return the records of each split."""
    options = dict(check_counts=False) | options
    dataset = dataset_class(data_root=str(root), split=split, pipeline=[], lazy_init=True, **options)
    records = dataset.load_data_list()
    found = {name: [r for r in records if r['split'] == name] for name in dataset.splits}
    return found | dict(notes=dataset.notes)


def frame_names(records):
    return [[os.path.basename(path) for path in r['frame_paths']] for r in records]


@pytest.fixture
def mars(tmp_path):
    return write_mars(tmp_path / 'mars')


@pytest.mark.parametrize('version', ['5', '7.3'])
def test_mars_rows_are_tracklets(tmp_path, version):
    records = load(MARS, write_mars(tmp_path, version))
    assert frame_names(records['train']) == mars_names(MARS_TRAIN)
    assert [(r['pid'], r['camid'] + 1) for r in records['train']] == [row[:2] for row in MARS_TRAIN]
    kept = [row for row, (pid, *_) in enumerate(MARS_TEST) if pid != -1]
    assert frame_names(records['gallery']) == [mars_names(MARS_TEST)[row] for row in kept]
    assert frame_names(records['query']) == [mars_names(MARS_TEST)[row - 1] for row in MARS_QUERIES]
    assert all(os.path.isfile(path) for split in SPLITS for r in records[split] for path in r['frame_paths'])
    assert 'left out 2 gallery tracklets of no person' in records['notes'][0]


def test_mars_queries_are_in_the_official_gallery_and_not_in_that_of_torchreid(mars):
    official, other = load(MARS, mars), load(MARS, mars, protocol='torchreid')
    assert official['query'] == other['query'] and official['train'] == other['train']
    queries = {r['tracklet'] for r in official['query']}
    assert len(queries) == 5 and queries < {r['tracklet'] for r in official['gallery']}
    remaining = [r for r in frame_names(official['gallery']) if r not in frame_names(official['query'])]
    assert frame_names(other['gallery']) == remaining
    tracklets = [r['tracklet'] for split in ('train', 'gallery') for r in official[split]]
    assert len(set(tracklets)) == len(tracklets)


def test_mars_combineall_adds_the_people_of_the_test_set(mars):
    for protocol in ('official', 'torchreid'):
        records = load(MARS, mars, 'train', combineall=True, protocol=protocol)['train']
        assert sorted({r['pid'] for r in records}) == [1, 2, 3, 4, 6]
        assert len(records) == len(MARS_TRAIN) + 9 == len({r['tracklet'] for r in records})


def test_mars_published_counts_are_compared(mars, warnings):
    load(MARS, mars, check_counts=True)
    assert [line.split(': ')[1].split()[0] for line in warnings] == ['train', 'query', 'gallery']
    assert '8,298 of 625' in warnings[0] and '1,980 of 626' in warnings[1] and '11,310 of 634' in warnings[2]
    warnings.clear()
    load(MARS, mars, 'gallery', check_counts=True, protocol='torchreid')
    assert '9,330 of 620' in warnings[0]


def test_mars_junk_may_be_missing_and_is_not_checked(mars):
    shutil.rmtree(mars / 'bbox_test/00-1')
    lines = (mars / 'info/test_name.txt').read_text().splitlines()
    (mars / 'info/test_name.txt').write_text('\n'.join(['../../junk', *lines[1:]]))
    assert len(load(MARS, mars)['gallery']) == 11


def write_table(root, part, rows):
    write_mat(root / f'info/tracks_{part}_info.mat', {f'track_{part}_info': np.array(rows)})


def changed(row, column, value):
    rows = mars_table(MARS_TEST).astype(float)
    rows[row, column] = value
    return rows


@pytest.mark.parametrize(
    'rows, message',
    [
        (changed(4, 0, 0), r'tracks_test_info.mat, row 5: its values 0, 13, 2, 1'),
        (changed(4, 1, 10), r'row 5: its values 11, 10, 2, 1 .* are no lines'),
        (changed(12, 1, 40), r'row 13: its values 30, 40, 6, 6 .* beyond the 32 lines of .*test_name.txt'),
        (changed(4, 0, 10), r'row 5: line 10 of test_name.txt is in row 4 too'),
        (changed(4, 2, -2), r'row 5: .* have no id'),
        (changed(4, 3, 7), r'row 5: .* have no camera from 1 to 6'),
        (changed(4, 3, 2), r'row 5: id 2 and camera 2, but the frame 0002C1T0005F001.jpg is of id 0002 and camera 1'),
        (changed(5, 2, 3), r'row 6: id 3 and camera 1, but the frame 0002C1T0006F001.jpg is of id 0002'),
        (changed(4, 0, 11.5), r'value 17 is 11.5, no whole number'),
        (changed(4, 0, np.nan), r'value 17 is nan, no whole number'),
        (np.zeros((3, 3)), r'3 rows and 3 columns'),
        (np.zeros((0, 4)), r'0 rows and'),
    ],
)
def test_mars_rows_that_cannot_be_used(mars, rows, message):
    write_table(mars, 'test', rows)
    with pytest.raises(DataError, match=message):
        load(MARS, mars, 'gallery')


def test_mars_a_tracklet_of_two_people(mars):
    lines = (mars / 'info/train_name.txt').read_text().splitlines()
    lines[1] = '0003C1T0001F002.jpg'
    (mars / 'info/train_name.txt').write_text('\n'.join(lines))
    with pytest.raises(DataError, match=r'tracks_train_info.mat, row 1: id 1 .* 0003C1T0001F002.jpg is of id 0003'):
        load(MARS, mars)


@pytest.mark.parametrize('name', [r'..\0001C1T0001F002.jpg', '../0001C1T0001F002.jpg', '/etc/passwd', 'a', ''])
def test_mars_names_that_are_none(mars, name):
    lines = (mars / 'info/train_name.txt').read_text().splitlines()
    lines[1] = name
    (mars / 'info/train_name.txt').write_text('\n'.join(lines))
    with pytest.raises(DataError, match=r'row 1: .*train_name.txt is no name like'):
        load(MARS, mars)


@pytest.mark.parametrize(
    'rows, message',
    [
        ([[5, 14]], r'value 2: no row 14; the table has rows 1 to 13'),
        ([[0]], r'value 1: no row 0'),
        ([[5, 1]], r'value 2: row 1 has id -1'),
        ([[3]], r'value 1: row 3 has id 0'),
        ([[5, 5]], r'row 5 twice'),
        ([[5.5]], r'value 1 is 5.5'),
    ],
)
def test_mars_queries_that_cannot_be_used(mars, rows, message):
    write_mat(mars / 'info/query_IDX.mat', {'query_IDX': np.array(rows)})
    with pytest.raises(DataError, match=message):
        load(MARS, mars, 'query')


@pytest.mark.parametrize(
    'name', ['train_name.txt', 'test_name.txt', 'tracks_train_info.mat', 'tracks_test_info.mat', 'query_IDX.mat']
)
def test_mars_missing_and_damaged_files(mars, name):
    path = mars / 'info' / name
    path.write_bytes(b'\xff\xfa' + path.read_bytes()[50:100])
    with pytest.raises(DataError, match=name):
        load(MARS, mars)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf'{name}.*MARS-evaluation'):
        load(MARS, mars)


def test_mars_lines_that_no_row_names_are_reported(mars, warnings):
    with (mars / 'info/test_name.txt').open('ab') as file:
        file.write(b'0006C6T0014F001.jpg\r\n\r\n')
    load(MARS, mars)
    (warning,) = warnings
    assert '1 of 33 lines of' in warning and 'test_name.txt' in warning


def test_mars_missing_frames_and_unknown_protocols(mars):
    (mars / 'bbox_test/0002/0002C1T0006F002.jpg').unlink()
    shutil.rmtree(mars / 'bbox_test/0000')
    with pytest.raises(DataError, match=r'no image .*0000C1T0003F001.jpg \(6 of 27 are missing\)'):
        load(MARS, mars)
    with pytest.raises(DataError, match="protocol='market'"):
        load(MARS, mars, protocol='market')


@pytest.fixture(scope='module')
def ilids(tmp_path_factory):
    return write_ilids(tmp_path_factory.mktemp('ilids-vid'))


@pytest.mark.parametrize('split_index', [0, 9])
def test_ilids_positions_are_not_numbers_and_the_first_half_is_the_test_set(ilids, split_index):
    records = load(ILIDSVID, ilids, split_index=split_index, check_counts=True)
    row = ilids_splits(300)[split_index]
    test, train = ({ILIDS_PEOPLE[position - 1] for position in half} for half in (row[:150], row[150:]))
    assert {r['pid'] for r in records['query']} == {r['pid'] for r in records['gallery']} == test
    assert {r['pid'] for r in records['train']} == train
    assert {r['camid'] for r in records['query']} == {0} and {r['camid'] for r in records['gallery']} == {1}
    first = records['query'][0]
    assert frame_names([first])[0] == [f'cam1_person{first["pid"]:03d}_{frame}.png' for frame in ('00042', '00317')]
    assert not records['notes']


def test_ilids_published_counts_hold_and_others_are_reported(ilids, tmp_path, warnings):
    load(ILIDSVID, ilids, check_counts=True)
    assert not warnings
    load(ILIDSVID, write_ilids(tmp_path, [1, 5, 7, 8], '7.3'), check_counts=True)
    assert [line.split(': ')[1].split()[0] for line in warnings] == ['train', 'query', 'gallery']


def test_ilids_errors(tmp_path):
    root, splits = write_ilids(tmp_path, [1, 5, 7, 8]), 'train-test people splits/train_test_splits_ilidsvid.mat'
    with pytest.raises(DataError, match='split_index=10'):
        load(ILIDSVID, root, split_index=10)
    for table, message in (
        (ilids_splits(6), r'ls_set has 10 rows of 6 positions, not 10 of 4'),
        (np.ones((10, 4)), r'ls_set, row 1: position 1 is not in it exactly once'),
        (ilids_splits(4) + 1, r'ls_set, row 1: position'),
        (ilids_splits(4)[:9], r'9 rows of 4'),
    ):
        write_mat(root / splits, {'ls_set': table})
        with pytest.raises(DataError, match=message):
            load(ILIDSVID, root)
    write_mat(root / splits, {'other': np.ones((10, 4))})
    with pytest.raises(DataError, match="no variable 'ls_set'"):
        load(ILIDSVID, root)
    (root / splits).unlink()
    with pytest.raises(FileNotFoundError, match=r'train_test_splits_ilidsvid.mat'):
        load(ILIDSVID, root)
    (root / 'i-LIDS-VID/sequences/cam1/person02').mkdir()
    with pytest.raises(DataError, match='cam1/person02 has no frame'):
        load(ILIDSVID, root)
    write_frame(root / 'i-LIDS-VID/sequences/cam1/person02/1.png')
    with pytest.raises(DataError, match=r'person02 is in only one of .*cam1 and .*cam2'):
        load(ILIDSVID, root)
    write_frame(root / 'i-LIDS-VID/sequences/cam1/person002/1.png')
    with pytest.raises(DataError, match=r'two folders in .*cam1 have one number'):
        load(ILIDSVID, root)
    write_frame(root / 'i-LIDS-VID/sequences/cam1/people/1.png')
    with pytest.raises(DataError, match='people is no folder of a person'):
        load(ILIDSVID, root)
    shutil.rmtree(root / 'i-LIDS-VID')
    with pytest.raises(FileNotFoundError, match=r'no folder .*sequences/cam1'):
        load(ILIDSVID, root)


@pytest.fixture
def prid(tmp_path):
    return write_prid(tmp_path / 'prid2011')


def test_prid_published_divisions(prid, warnings):
    for split_index, halves in enumerate(prid_splits()):
        records = load(PRID2011, prid, split_index=split_index)
        people = {half: {int(name[-4:]) for name in names} for half, names in halves.items()}
        assert {r['pid'] for r in records['train']} == people['train'] and len(records['train']) == 6
        assert {r['pid'] for r in records['query']} == {r['pid'] for r in records['gallery']} == people['test']
        assert {r['camid'] for r in records['query']} == {0} and {r['camid'] for r in records['gallery']} == {1}
        assert frame_names(records['query'])[0] == ['0001.png', '0003.png', '0012.png']
    assert not warnings
    load(PRID2011, prid, check_counts=True)
    assert '178 of 89' in warnings[0]


def test_prid_without_the_file_of_the_divisions(tmp_path, warnings):
    root = write_prid(tmp_path, splits=False)
    drawn = []
    for split_index in range(10):
        records = load(PRID2011, root, split_index=split_index, check_counts=True)
        test, train = ({r['pid'] for r in records[split]} for split in ('query', 'train'))
        assert len(test) == len(train) == 4 and test | train == set(range(1, 9))
        drawn.append(tuple(sorted(test)))
        assert 'splits_prid2011.json: random halves of 8 people' in records['notes'][0]
    assert len(set(drawn)) > 5 and len(warnings) == 10
    # The same on every machine.
    assert drawn[:3] == [(2, 3, 7, 8), (2, 3, 7, 8), (2, 3, 5, 7)]


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', r'splits_prid2011.json: no JSON'),
        ('{}', r'no list; it must be a list of ten'),
        ('[{}]', r'1 divisions; it must be'),
        (json.dumps([dict(train=['person_0001'])] * 10), r"division 0: 'test' is no list"),
        (json.dumps([dict(train=[], test=['person_0001'])] * 10), r"division 0: 'train' is no list"),
        (json.dumps([dict(train=[1], test=['person_0001'])] * 10), r"division 0: 'train' is no list of names"),
        (json.dumps([dict(train=['person_0001'], test=['person_0001'])] * 10), r"'person_0001' is there twice"),
        (json.dumps([dict(train=['person_0201'], test=['person_0001'])] * 10), r"no person 'person_0201' .* up to 200"),
        (json.dumps([dict(train=['../person_0001'], test=['person_0001'])] * 10), r"no person '../person_0001'"),
    ],
)
def test_prid_divisions_that_cannot_be_used(prid, content, message):
    (prid / 'splits_prid2011.json').write_text(content)
    with pytest.raises(DataError, match=message):
        load(PRID2011, prid)


def test_prid_without_shared_people(prid):
    shutil.rmtree(prid / 'prid_2011/multi_shot/cam_b')
    write_frame(prid / 'prid_2011/multi_shot/cam_b/person_0201/0001.png')
    with pytest.raises(DataError, match='no person from 1 to 200 is in both cameras'):
        load(PRID2011, prid)


@pytest.mark.parametrize('separator', ['_', ''])
@pytest.mark.parametrize('first_frame', [1, 2])
def test_duke_names_of_both_releases(tmp_path, separator, first_frame):
    root = write_duke_video(tmp_path, separator, first_frame)
    for place in (root, root / 'DukeMTMC-VideoReID'):
        records = load(DukeMTMCVideoReID, place)
        found = {split: [(r['pid'], r['camid'] + 1) for r in records[split]] for split in SPLITS}
        assert found == dict(
            train=[(1, 1), (1, 2), (5, 8), (5, 3)],
            query=[(2, 1), (7, 6)],
            gallery=[(2, 4), (2, 1), (7, 2), (9, 3)],
        )
        number = frame_names(records['train'])[0][0].index('F') + 4
        for names in frame_names(records['train']):
            assert [int(name[number - 2 : number + 1]) - first_frame + 1 for name in names] == [1, 2, 3, 10]
    assert '1 gallery tracklets are of people who were seen by one camera only' in records['notes'][0]


def test_duke_counts_and_combineall(tmp_path, warnings):
    root = write_duke_video(tmp_path)
    records = load(DukeMTMCVideoReID, root, check_counts=True)
    assert '2,196 of 702' in warnings[0] and '2 of 702' in warnings[1] and '4 of 1,110' in warnings[2]
    combined = load(DukeMTMCVideoReID, root, 'train', combineall=True)['train']
    assert {r['pid'] for r in combined} == {1, 2, 5, 7, 9} and len(combined) == 10
    assert len({r['tracklet'] for split in SPLITS for r in records[split]}) == 10


def test_duke_errors(tmp_path):
    root = write_duke_video(tmp_path)
    folder = root / 'DukeMTMC-VideoReID/train/0001/0000'
    for name, message in (
        ('0005_C1_F0011_X30999.jpg', 'the frame 0005_C1_F0011_X30999.jpg is of person 0005, not 1'),
        ('0001_C2_F0011_X30999.jpg', 'by the cameras 1, 2'),
        ('0001_C9_F0011_X30999.jpg', 'no camera from 1 to 8'),
        ('frame.jpg', "'frame.jpg' is no name like"),
    ):
        write_frame(folder / name)
        with pytest.raises(DataError, match=rf'train/0001/0000.*{message}'):
            load(DukeMTMCVideoReID, root)
        (folder / name).unlink()
    (root / 'DukeMTMC-VideoReID/train/0001/0099').mkdir()
    with pytest.raises(DataError, match='0001/0099 has no frame'):
        load(DukeMTMCVideoReID, root)
    (root / 'DukeMTMC-VideoReID/train/0001/0099').rename(root / 'DukeMTMC-VideoReID/train/people')
    write_frame(root / 'DukeMTMC-VideoReID/train/people/1/1.jpg')
    with pytest.raises(DataError, match="'people' is no number"):
        load(DukeMTMCVideoReID, root)
    shutil.rmtree(root / 'DukeMTMC-VideoReID/query')
    with pytest.raises(FileNotFoundError, match=r'query.*Yu-Wu'):
        load(DukeMTMCVideoReID, root, 'query')


def test_mars_scores_equal_the_official_evaluation_of_all_tracklets(mars):
    # The official gallery has all rows, with junk, each with an embedding.
    features = {
        names[0]: torch.randn(8, generator=torch.Generator().manual_seed(row))
        for row, names in enumerate(mars_names(MARS_TEST))
    }
    whole = Embeddings(torch.stack(list(features.values())), *torch.tensor([row[:2] for row in MARS_TEST]).T)
    query = whole[torch.tensor(MARS_QUERIES) - 1]
    mean_ap, cmc = official_mars(pairwise_distance(query.features, whole.features, 'euclidean'), query, whole)
    records = load(MARS, mars, ('query', 'gallery'))
    samples = [
        dict(r, sample_idx=i, embedding=features[os.path.basename(r['img_path'])])
        for i, r in enumerate(records['query'] + records['gallery'])
    ]
    metric = ReIDMetric(average_precision='trapezoid', topk=range(1, 12))
    metric.process({}, samples)
    scores = metric.evaluate(len(samples))
    assert scores['reid/mAP'] == pytest.approx(mean_ap, abs=1e-12)
    assert [scores[f'reid/Rank-{k}'] for k in range(1, 12)] == pytest.approx(cmc[:11].tolist(), abs=1e-12)
    metric = ReIDMetric(average_precision='rectangle')
    metric.process({}, samples)
    assert metric.evaluate(len(samples))['reid/mAP'] != pytest.approx(mean_ap, abs=1e-3)


# The released code, on the same miniatures.


@pytest.fixture
def released(tmp_path):
    """Return a function that reads a data set by the released code, without looking for it elsewhere."""
    reason = "needs the extra 'peer'"
    video = pytest.importorskip('torchreid.reid.data.datasets.video', reason=reason)

    def read(name, root, folder, **options):
        (tmp_path / 'released').mkdir(exist_ok=True)
        link = tmp_path / 'released' / folder
        if not link.exists():
            link.symlink_to(root)
        data = getattr(video, name)(root=str(tmp_path / 'released'), transform=lambda x: x, verbose=False, **options)
        # Real paths: the released code goes through the link.
        return {
            split: [
                (tuple(map(os.path.realpath, frames)), int(pid), int(camid))
                for frames, pid, camid, _ in getattr(data, split)
            ]
            for split in SPLITS
        }

    return read


def scores_of(query, gallery, embeddings):
    """Return mAP and CMC of tracklets ``(frames, pid, camid)``."""
    sets = [
        Embeddings(
            torch.stack([embeddings[frozenset(frames)] for frames, *_ in part]),
            torch.tensor([pid for _, pid, _ in part]),
            torch.tensor([camid for *_, camid in part]),
        )
        for part in (query, gallery)
    ]
    counts, ranks = match_ranks(*sets)
    return sets, retrieval_scores(counts, ranks)['mAP'], cmc_curve(counts, ranks, 20)


def assert_equal_to_released(ours, theirs, same_pids):
    """Compare tracklets, then mAP and CMC of random embeddings; pids of the released code may be other numbers."""
    evaluate = pytest.importorskip('torchreid.reid.metrics.rank', reason="needs the extra 'peer'").evaluate_rank
    for split in SPLITS:
        found = {frozenset(map(os.path.realpath, r['frame_paths'])): (r['pid'], r['camid']) for r in ours[split]}
        expected = {frozenset(frames): (pid, camid) for frames, pid, camid in theirs[split]}
        assert found.keys() == expected.keys() and len(found) == len(ours[split]) == len(theirs[split])
        assert all(found[frames][1] == expected[frames][1] for frames in found)
        pairs = {(found[frames][0], expected[frames][0]) for frames in found}
        assert len(pairs) == len({pid for pid, _ in pairs}) == len({pid for _, pid in pairs})
        assert split == 'train' or not same_pids or all(pid == other for pid, other in pairs)
    torch.manual_seed(0)
    tracklets = {frozenset(frames) for split in ('query', 'gallery') for frames, *_ in theirs[split]}
    embeddings = {frames: torch.randn(16) for frames in sorted(tracklets, key=min)}
    own = [
        [(map(os.path.realpath, r['frame_paths']), r['pid'], r['camid']) for r in ours[split]]
        for split in ('query', 'gallery')
    ]
    _, mean_ap, cmc = scores_of(*own, embeddings)
    (query, gallery), *_ = scores_of(theirs['query'], theirs['gallery'], embeddings)
    expected_cmc, expected_map = evaluate(
        pairwise_distance(query.features, gallery.features).numpy(),
        *(array.numpy() for array in (query.pids, gallery.pids, query.camids, gallery.camids)),
        # It fails if fewer tracklets than these remain for a query.
        max_rank=min(20, len(gallery) - 1),
        use_cython=False,
    )
    assert mean_ap == pytest.approx(expected_map, abs=1e-6)
    assert cmc[: len(expected_cmc)].tolist() == pytest.approx(expected_cmc.tolist(), abs=1e-6)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_mars_equals_the_released_code_under_its_protocol(mars, released):
    theirs = released('Mars', mars, 'mars')
    assert_equal_to_released(load(MARS, mars, protocol='torchreid'), theirs, same_pids=True)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('split_index', [0, 7])
def test_ilids_equals_the_released_code(ilids, released, split_index):
    theirs = released('iLIDSVID', ilids, 'ilids-vid', split_id=split_index)
    assert_equal_to_released(load(ILIDSVID, ilids, split_index=split_index), theirs, same_pids=False)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize('split_index', [0, 7])
def test_prid_equals_the_released_code(prid, released, split_index):
    theirs = released('PRID2011', prid, 'prid2011', split_id=split_index)
    assert_equal_to_released(load(PRID2011, prid, split_index=split_index), theirs, same_pids=False)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_duke_equals_the_released_code(tmp_path, released):
    root = write_duke_video(tmp_path / 'duke')
    # The released code asks for the frames 1, 2, 3 ... n of n.
    for path in root.glob('*/*/*/*/*_F0010_*'):
        path.rename(path.with_name(path.name.replace('F0010', 'F0004')))
    theirs = released('DukeMTMCVidReID', root, 'dukemtmc-vidreid')
    assert_equal_to_released(load(DukeMTMCVideoReID, root), theirs, same_pids=True)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_the_released_code_takes_frames_in_the_order_of_the_file_system(ilids, prid, released, monkeypatch):
    listed = glob.glob
    monkeypatch.setattr(glob, 'glob', lambda pattern: sorted(listed(pattern), reverse=pattern.endswith('.png')))
    for name, root, folder, ours in (
        ('iLIDSVID', ilids, 'ilids-vid', ILIDSVID),
        ('PRID2011', prid, 'prid2011', PRID2011),
    ):
        for frames, *_ in released(name, root, folder)['query']:
            assert list(frames) == sorted(frames, reverse=True)
        for record in load(ours, root, 'query')['query']:
            assert record['frame_paths'] == sorted(record['frame_paths'])


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
def test_the_released_code_loses_frames_whose_numbers_have_gaps(tmp_path, released):
    root = write_duke_video(tmp_path / 'duke', first_frame=2)
    theirs = released('DukeMTMCVidReID', root, 'dukemtmc-vidreid')
    # Of the frames 2, 3, 4 and 11 it asks for 1 to 4.
    assert {len(frames) for split in SPLITS for frames, *_ in theirs[split]} == {3}
    ours = load(DukeMTMCVideoReID, root)
    assert {len(r['frame_paths']) for split in SPLITS for r in ours[split]} == {4}
