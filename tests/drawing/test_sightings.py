import numpy as np

from mmosnet.drawing.sightings import LabeledBox, color_of, draw_sightings, person_sheet


def test_boxes_have_the_color_of_the_person_and_a_label():
    frame = np.zeros((200, 300, 3), np.uint8)
    draw_sightings(frame, [LabeledBox((40, 60, 50, 100), 'anna known 0.12', 7), LabeledBox((150, 60, 50, 100), '?')])
    assert tuple(frame[120, 40]) == color_of(7) and tuple(frame[120, 150]) == color_of(-1)
    # The label stands above the box, the inside is free.
    assert tuple(frame[55, 41]) == color_of(7) and frame[60 + 50, 60].sum() == 0
    assert len({color_of(pid) for pid in range(50)}) == 50


def test_boxes_beyond_the_frame_and_any_text():
    frame = np.zeros((60, 40, 3), np.uint8)
    people = [
        LabeledBox((-30.5, -20, 60, 50), 'Zoë 李 \ud800 and a name that is much wider than the frame', 1),
        LabeledBox((35, 55, 500, 500), '', 2),
        LabeledBox((1e6, 1e6, 5, 5), 'far away', 3),
    ]
    draw_sightings(frame, people, 'camera 0   12.00 s')
    assert frame.any()
    tiny = np.zeros((5, 4, 3), np.uint8)
    draw_sightings(tiny, people[:1], 'camera')


def test_a_sheet_has_a_card_per_sighting():
    image = np.full((100, 40, 3), 9, np.uint8)
    one = person_sheet(['person 3: seen 1 times'], [(image, ['camera 0', '1.0 - 2.0 s'])])
    many = person_sheet(['person 3'], [(image, ['camera 0']), (None, ['camera 1', 'new'])] * 10)
    assert one.dtype == many.dtype == np.uint8 and one.shape[2] == 3
    assert many.shape[0] > 2 * one.shape[0] and many.shape[1] > 4 * 100
    assert (many == 9).all(axis=2).sum() > 10 * 1000
