from benchmarks.people import measure_people


def test_a_table_of_all_kinds_of_calls(tmp_path):
    told = []
    lines = measure_people(tmp_path, people=30, images=[1, 2], dimension=64, calls=2, say=told.append).splitlines()
    assert [line.split('|')[0].strip() for line in lines[2:]] == ['30', '60'] and len(told) == 2
    assert all(len(line.split('|')) == 5 for line in lines[2:]) and not list(tmp_path.iterdir())
