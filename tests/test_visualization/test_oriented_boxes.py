"""Boxes are drawn where they are, in the colour of their class, and named in reach."""

import math

import cv2
import numpy as np
import pytest

from s5_mm.visualization import OrientedBoxes, detection_panel, draw_oriented_boxes
from s5_mm.visualization.oriented_boxes import box_corners
from s5_mm.visualization.tags import TagPlacer, tag

CLASSES = ('ship', 'harbor', 'plane')
PALETTE = [[250, 200, 10], [10, 240, 250], [250, 20, 200]]
GREY = 90
SIZE = 400


def _image(height=SIZE, width=SIZE):
    return np.full((height, width, 3), GREY, np.uint8)


def _boxes(*rows, labels=None, scores=None):
    labels = np.zeros(len(rows), int) if labels is None else np.array(labels)
    scores = None if scores is None else np.array(scores)
    return OrientedBoxes(np.array(rows, float).reshape(-1, 5), labels, scores)


def _edge_points(box, count=25):
    """Points along the sides, from the definition of the box."""
    cx, cy, w, h, angle = box
    steps = np.linspace(-0.5, 0.5, count)
    half = np.full(count, 0.5)
    u = np.concatenate([steps, steps, half, -half]) * w
    v = np.concatenate([half, -half, steps, steps]) * h
    x = cx + u * math.cos(angle) - v * math.sin(angle)
    y = cy + u * math.sin(angle) + v * math.cos(angle)
    return np.stack([x, y], axis=1)


def _has_color(image, points, color, reach=1):
    """Whether each point has a pixel of a colour within reach."""
    # A line between two rows of pixels gives half of its colour to each.
    same = (np.abs(image.astype(int) - color) < 90).all(axis=2).astype(np.uint8)
    near = cv2.dilate(same, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return near[points[:, 1].astype(int), points[:, 0].astype(int)] > 0


def _holds(image, part):
    """Whether an image holds another somewhere, pixel by pixel."""
    match = cv2.matchTemplate(image, part, cv2.TM_SQDIFF)
    return match.min() < 50  # it computes in float32


@pytest.mark.parametrize('angle', [0.0, 0.4, -1.2, math.pi / 4])
@pytest.mark.parametrize('shape', [(400, 400), (200, 400), (1200, 800)])
def test_edges_have_the_colour_of_the_class(angle, shape):
    height, width = shape
    box = [width * 0.5, height * 0.45, width * 0.4, height * 0.2, angle]
    drawn = draw_oriented_boxes(
        _image(*shape), _boxes(box, labels=[1]), CLASSES, PALETTE, SIZE
    )
    assert max(drawn.image.shape) == SIZE
    ratio = SIZE / max(shape)
    points = _edge_points(np.array(box) * [ratio, ratio, ratio, ratio, 1])
    assert _has_color(drawn.image, points, PALETTE[1]).all()
    middle = drawn.image[int(box[1] * ratio), int(box[0] * ratio)]
    assert middle.tolist() == [GREY] * 3
    assert not _has_color(drawn.image, points, PALETTE[0]).any()


def test_lines_are_anti_aliased_and_placed_by_fractions_of_a_pixel():
    """The line's centre of mass moves with the box."""
    for shift in (0.0, 0.25, 0.5, 0.75):
        box = [100 + shift, 100, 60, 8, 0.0]  # a thin box: one pixel, no rim
        image = draw_oriented_boxes(_image(), _boxes(box), CLASSES, PALETTE, SIZE)[0]
        weight = np.abs(image[98:103, 125:136, 0].astype(float) - GREY)
        assert weight.max() > 40
        columns = np.arange(125, 136) + 0.5
        assert (weight @ columns).sum() / weight.sum() == pytest.approx(
            130 + shift, abs=0.15
        )


def test_corners():
    quad = np.arange(16.0).reshape(2, 8)
    assert np.array_equal(box_corners(quad), quad.reshape(2, 4, 2))
    (corners,) = box_corners([[10, 20, 6, 2, math.pi / 6]])
    rect = cv2.boxPoints(((10, 20), (6, 2), 30))
    assert all(np.abs(rect - corner).max(axis=1).min() < 1e-5 for corner in corners)
    assert box_corners(np.zeros((0, 5))).shape == (0, 4, 2)
    with pytest.raises(ValueError, match=r'shape \(2, 4\) found, expected \(n, 5\)'):
        box_corners(np.zeros((2, 4)))


def test_text_names_class_and_score_and_stays_inside():
    height = max(SIZE // 64, 11)
    want = tag('ship 0.87', height, tuple(PALETTE[0]))
    for x, y in ((200, 200), (15, 12), (390, 200), (200, 393), (398, 398), (2, 200)):
        found = _boxes([x, y, 50, 24, 0.5], scores=[0.87])
        drawn = draw_oriented_boxes(_image(), found, CLASSES, PALETTE, SIZE)
        assert _holds(drawn.image, want), (x, y)
        assert drawn.unnamed == 0
        assert drawn.image.shape == (SIZE, SIZE, 3)


def test_crowded_texts_get_shorter_then_none_and_are_counted():
    rows = [[200 + 14 * i, 200, 12, 300, 0.0] for i in range(-10, 11)]
    scores = np.linspace(0.9, 0.5, len(rows))
    drawn = draw_oriented_boxes(
        _image(), _boxes(*rows, scores=scores), CLASSES, PALETTE, SIZE
    )
    full = short = 0
    for score in scores:
        texts = (f'ship {score:.2f}', f'{score:.2f}')
        marks = [
            _holds(drawn.image, tag(text, 11, tuple(PALETTE[0]))) for text in texts
        ]
        full += marks[0]
        short += marks[1] and not marks[0]
    assert full
    assert short
    assert full + short < len(rows)
    assert drawn.unnamed == len(rows) - full
    # Texts hide no box: the edges of all are there.
    points = np.concatenate([_edge_points(row)[25:50] for row in rows])
    assert _has_color(drawn.image, points, PALETTE[0], reach=2).mean() > 0.95


def test_sure_boxes_lie_above_unsure_ones():
    box = [200, 200, 100, 60, 0.0]
    found = _boxes(box, box, labels=[0, 1], scores=[0.9, 0.4])
    image = draw_oriented_boxes(_image(), found, CLASSES, PALETTE, SIZE).image
    points = _edge_points(box)
    assert _has_color(image, points, PALETTE[0]).all()
    assert not _has_color(image, points[30:45], PALETTE[1]).any()


def test_what_does_not_count_is_grey_without_text():
    box = [200, 200, 100, 60, 0.3]
    found = _boxes(box, labels=[-1])
    drawn = draw_oriented_boxes(_image(), found, CLASSES, PALETTE, SIZE)
    assert _has_color(drawn.image, _edge_points(box), [190, 190, 190]).all()
    assert not (drawn.image == PALETTE[-1]).all(axis=2).any()
    assert drawn.unnamed == 0


def test_things_that_hold_others_may_be_hidden():
    harbour = np.array([[150, 150], [250, 150], [250, 250], [150, 250.0]])
    ship = np.array([[190, 195], [210, 195], [210, 205], [190, 205.0]])
    alone = TagPlacer(np.stack([harbour]), (SIZE, SIZE))
    assert alone.place(ship, [(11, 40)]) is None
    both = TagPlacer(np.stack([harbour, ship]), (SIZE, SIZE))
    assert both.place(ship, [(11, 40)])[0] == 0
    assert both.place(harbour, [(11, 1000), (11, 40)])[0] == 1


def test_a_thing_as_large_as_the_picture_has_its_text_inside():
    found = _boxes([200, 200, 500, 450, 0.1], scores=[0.87])
    drawn = draw_oriented_boxes(_image(), found, CLASSES, PALETTE, SIZE)
    assert _holds(drawn.image, tag('ship 0.87', 11, tuple(PALETTE[0])))


def test_ink_contrasts_with_the_ground():
    light, dark = tag('ship', 20, (250, 250, 200)), tag('ship', 20, (10, 10, 120))
    assert light.min() < 90
    assert dark.max() > 220
    assert np.array_equal(tag('h\u00e4fen', 14, (9, 9, 9)), tag('h?fen', 14, (9, 9, 9)))


def _panel(truth, prediction, **changes):
    settings = dict(classes=CLASSES, palette=PALETTE, tile_size=SIZE, **changes)
    return detection_panel(_image(), truth, prediction, **settings)


def _tiles(picture, columns):
    top = 8 + max(SIZE // 32, 14) + 2
    assert picture.shape[1] == 8 + columns * (SIZE + 8)
    return [
        picture[top : top + SIZE, 8 + i * (SIZE + 8) :][:, :SIZE]
        for i in range(columns)
    ]


def test_nothing_is_drawn_below_the_threshold():
    one, other = [100, 100, 60, 30, 0.2], [280, 280, 60, 30, -0.6]
    found = _boxes(one, other, labels=[0, 1], scores=[0.5, 0.29])
    (tile,) = _tiles(_panel(None, found, score_thr=0.3), 1)
    assert _has_color(tile, _edge_points(one), PALETTE[0]).all()
    assert (tile[200:360, 200:360] == GREY).all()
    (tile,) = _tiles(_panel(None, found, score_thr=0.29), 1)
    assert _has_color(tile, _edge_points(other), PALETTE[1]).all()


def test_truth_is_beside_the_prediction():
    one, other = [100, 100, 60, 30, 0.2], [280, 280, 60, 30, -0.6]
    truth, found = _boxes(one, labels=[2]), _boxes(other, labels=[1], scores=[0.9])
    left, right = _tiles(_panel(truth, found), 2)
    assert _has_color(left, _edge_points(one), PALETTE[2]).all()
    assert (left[200:360, 200:360] == GREY).all()
    assert _has_color(right, _edge_points(other), PALETTE[1]).all()
    assert (right[50:150, 50:150] == GREY).all()


def test_titles_caption_and_legend(monkeypatch):
    from s5_mm.visualization import oriented_boxes

    said = {}

    def grid(rows, titles, captions, tile_size, footer, line):
        said.update(titles=titles, captions=captions)
        return rows[0][0]

    def legend(classes, palette, width, line):
        said.update(classes=classes, palette=palette)

    monkeypatch.setattr(oriented_boxes, 'grid', grid)
    monkeypatch.setattr(oriented_boxes, 'legend', legend)
    box, away = [100, 100, 60, 30, 0.2], [280, 280, 60, 30, 0.2]
    truth = _boxes(box, away, labels=[2, -1])
    found = _boxes(box, away, away, labels=[2, 0, 1], scores=[0.9, 0.5, 0.1])
    _panel(truth, found, dataset='ports', caption='7.png', score_thr=0.25)
    assert said['titles'] == [
        'ports, ground truth: 1 boxes',
        'prediction, score >= 0.25: 2 boxes',
    ]
    assert said['captions'] == ['7.png']
    assert said['classes'] == ['ship', 'plane']
    assert said['palette'] == [PALETTE[0], PALETTE[2]]
    crowd = [[200 + 14 * i, 200, 12, 390, 0.0] for i in range(-10, 11)]
    _panel(None, _boxes(*crowd, scores=[0.9] * 21), dataset='ports', caption='8.png')
    assert said['titles'] == ['ports, prediction, score >= 0.3: 21 boxes']
    (caption,) = said['captions']
    assert caption.startswith('8.png  (')
    assert caption.endswith(' texts shortened or left out: no room)')


def test_an_image_without_boxes():
    nothing = _boxes(scores=[])
    left, right = _tiles(_panel(_boxes(), nothing), 2)
    assert (left == GREY).all()
    assert (right == GREY).all()


def test_labels_and_palettes_are_checked():
    box = [100, 100, 60, 30, 0.2]
    with pytest.raises(ValueError, match=r'labels: \[3\] found, .* classes 0 to 2'):
        _panel(None, _boxes(box, labels=[3], scores=[0.9]))
    with pytest.raises(ValueError, match=r'labels: \[-2\] found'):
        _panel(_boxes(box, labels=[-2]), _boxes(scores=[]))
    with pytest.raises(ValueError, match='palette: 2 colours found for 3 classes'):
        detection_panel(_image(), None, _boxes(scores=[]), CLASSES, PALETTE[:2])
