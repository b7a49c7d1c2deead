from mmosnet.datasets.named_people import number_names


def test_whole_numbers_keep_their_value():
    assert number_names(['0007', '12', '0', '12']) == {'0': 0, '0007': 7, '12': 12}


def test_other_names_count_from_1_in_alphabetical_order():
    assert number_names(['bob', 'anna', '7']) == {'7': 1, 'anna': 2, 'bob': 3}
    # Two names for one number must stay two people; signs, other digits and numbers too large are names.
    assert number_names(['7', '07']) == {'07': 1, '7': 2}
    assert number_names(['-1', '3']) == {'-1': 1, '3': 2}
    assert number_names(['²', '3']) == {'3': 1, '²': 2}
    assert number_names(['9' * 10]) == {'9' * 10: 1}
    assert number_names([]) == {}
