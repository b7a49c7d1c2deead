from mmosnet.datasets import DukeMTMCreID, Market1501
from tests.conftest import write_market, write_person


def test_reads_markets_layout(tmp_path):
    root = write_market(tmp_path, cameras=3)
    dataset = DukeMTMCreID(data_root=str(root), split=('query', 'gallery'), pipeline=[])
    assert {r['camid'] for r in dataset.load_data_list()} == {0, 1, 2}
    assert dataset.published_counts()['gallery'] == (17_661, 1_110)


def test_half_a_million_distractors_join_markets_gallery(tmp_path):
    root = write_market(tmp_path)
    for index in range(3):
        write_person(root / 'images' / f'0000_c1s1_{index:06d}_00.jpg', 0)
    plain, more = (
        Market1501(data_root=str(root), split='gallery', pipeline=[], distractors_500k=flag).load_data_list()
        for flag in (False, True)
    )
    assert len(more) == len(plain) + 3 and sum(r['pid'] == 0 for r in more) == 4


def test_combineall_trains_on_everybody_but_distractors_and_junk(tmp_path):
    root = write_market(tmp_path)
    dataset = Market1501(data_root=str(root), split='train', pipeline=[], combineall=True)
    records = dataset.load_data_list()
    # Six and four identities, two cameras, two images each.
    assert len(records) == 40 and {r['pid'] for r in records} == set(range(1, 11))
    assert {r['gt_label'] for r in records} == set(range(10)) and {r['split'] for r in records} == {'train'}
