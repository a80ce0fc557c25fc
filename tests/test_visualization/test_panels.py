from __future__ import annotations

import numpy as np
import pytest

from s5_mm.visualization import (
    PseudoLabelView,
    colorize,
    grid,
    heat_map,
    legend,
    overlay,
    prediction_panel,
    pseudo_label_panel,
)
from s5_mm.visualization.drawing import fit, hatch, text_line

PALETTE = [[10, 200, 30], [200, 20, 20], [0, 0, 250]]
CLASSES = ('field', 'road', 'water')


def _view(height, width, valid=None, seed=0):
    rng = np.random.default_rng(seed)
    return PseudoLabelView(
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        pseudo_label=rng.integers(0, 3, (height, width)),
        confidence=rng.random((height, width), dtype=np.float32),
        weight=rng.integers(0, 2, (height, width)).astype(np.float32),
        strong=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        prediction=rng.integers(0, 3, (height, width)),
        valid=valid,
        name='tile_7.png',
    )


def _is_hatched(image):
    return np.isin(image, (150, 214)).all(axis=-1)


def test_colorize():
    mask = np.array([[0, 1], [2, 255]], dtype=np.uint8)
    image = colorize(mask, PALETTE)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == PALETTE[0]
    assert image[0, 1].tolist() == PALETTE[1]
    assert image[1, 0].tolist() == PALETTE[2]
    np.testing.assert_array_equal(_is_hatched(image), mask == 255)


def test_colorize_names_ids_without_colour():
    with pytest.raises(ValueError, match=r'ids \[3, 9\] found.* 0 to 2'):
        colorize(np.array([[0, 3], [9, 255]]), PALETTE)


def test_hatch_keeps_the_rest():
    image = np.full((30, 20, 3), 7, dtype=np.uint8)
    where = np.zeros((30, 20), dtype=bool)
    where[10:] = True
    out = hatch(image, where)
    assert (out[:10] == 7).all()
    assert _is_hatched(out[10:]).all()
    assert set(np.unique(out[10:])) == {150, 214}
    assert (image == 7).all()


def test_heat_map():
    confidence = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (32, 1))
    plain = heat_map(confidence)
    light = plain.astype(float).sum(axis=2)[0]
    assert light[-1] > light[32] > light[0]  # brighter means surer
    marked = heat_map(confidence, confidence >= 0.5)
    changed = (marked != plain).any(axis=2)
    # The contour runs where 0.5 is crossed and nowhere else.
    assert changed.any(axis=1).all()
    assert set(np.nonzero(changed[1])[0]) <= {31, 32, 33}
    valid = np.ones((32, 64), dtype=bool)
    valid[:, 50:] = False
    assert _is_hatched(heat_map(confidence, confidence >= 0.5, valid)[:, 50:]).all()
    bad = confidence.copy()
    bad[0, 0] = np.nan
    assert heat_map(bad).shape == (32, 64, 3)


def test_overlay():
    image = np.full((4, 4, 3), 100, dtype=np.uint8)
    colors = np.full((4, 4, 3), 200, dtype=np.uint8)
    assert (overlay(image, colors, 0.25) == 125).all()


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (513, 40), (64, 64)])
@pytest.mark.parametrize('size', [5, 64, 191])
def test_fit(shape, size):
    image = np.full((*shape, 3), 9, dtype=np.uint8)
    out = fit(image, size)
    assert out.shape == (size, size, 3)
    assert (out == 9).any()
    # The longer side fills the tile.
    filled = (out == 9).all(axis=2)
    assert max(filled.any(axis=0).sum(), filled.any(axis=1).sum()) == size


@pytest.mark.parametrize('width', [1, 9, 60, 400])
@pytest.mark.parametrize('height', [6, 13, 22, 90])
@pytest.mark.parametrize('text', ['', 'road', 'a very long caption ' * 5, 'straße €'])
def test_text_line(text, width, height):
    image = text_line(text, width, height)
    assert image.shape == (height, width, 3)
    dark = (image < 128).any(axis=2)
    if text and width >= 60 and height >= 13:
        assert dark.any()
        # Within the line: nothing is cut at the right.
        assert not dark[:, -1].any()
    if not text:
        assert not dark.any()


def test_text_is_as_high_as_it_can_be():
    heights = []
    for line in (14, 28, 56):
        rows = (text_line('Hg', 400, line) < 128).any(axis=(1, 2))
        heights.append(rows.sum())
    assert heights[0] >= 7
    assert heights[1] >= 1.6 * heights[0]
    assert heights[2] >= 1.6 * heights[1]


@pytest.mark.parametrize('width', [1, 30, 200, 900])
def test_legend(width):
    names = [f'class {i}' for i in range(21)]
    palette = [[i * 10, 255 - i * 10, 128] for i in range(21)]
    image = legend(names, palette, width)
    assert image.shape[1] == width
    assert image.shape[0] % 22 == 0
    if width >= 30:
        for color in palette:
            assert (image == color).all(axis=2).sum() >= 100
    assert legend([], [], width).shape == (0, width, 3)


def test_legend_needs_colours():
    with pytest.raises(ValueError, match='2 colours found for 3 classes'):
        legend(CLASSES, PALETTE[:2], 100)


def test_grid_places_cells():
    cells = [[np.full((10, 10, 3), 20 * (3 * r + c + 1), np.uint8) for c in range(3)]
             for r in range(2)]  # fmt: skip
    image = grid(cells, titles=('a', 'b', 'c'), tile_size=40, margin=5)
    assert image.shape[1] == 5 + 3 * 45
    for r in range(2):
        for c in range(3):
            assert (image == 20 * (3 * r + c + 1)).all(axis=2).sum() == 40 * 40
    assert (image[:5] == 255).all()
    assert (image[:, :5] == 255).all()
    assert grid([]).ndim == 3
    uneven = grid([cells[0], cells[1][:1]], tile_size=16)
    assert uneven.shape[1] == 8 + 3 * 24


@pytest.mark.parametrize('shape', [(64, 64), (33, 47), (1, 9)])
@pytest.mark.parametrize('tile_size', [40, 192])
def test_pseudo_label_panel(shape, tile_size):
    valid = np.ones(shape, dtype=bool)
    valid[:, shape[1] // 2 :] = False
    views = [_view(*shape), _view(*shape, valid, seed=1)]
    image = pseudo_label_panel(views, CLASSES, PALETTE, tile_size)
    assert image.dtype == np.uint8
    assert image.shape[1] == 8 + 5 * (tile_size + 8)
    assert image.shape[0] > 2 * tile_size
    assert _is_hatched(image).any()


def test_panel_fades_by_weight():
    view = _view(32, 32)
    view = view._replace(
        pseudo_label=np.ones((32, 32), dtype=int),
        prediction=np.zeros((32, 32), dtype=int),
        weight=np.tile(np.array([1, 1, 0.5, 0], np.float32).repeat(8), (32, 1)),
    )
    image = pseudo_label_panel([view], CLASSES, PALETTE, 64)
    # The sure half of the label, and the small box of the legend.
    strong = (image == PALETTE[1]).all(axis=2).sum()
    assert 64 * 32 <= strong < 64 * 40
    for opacity in (0.65, 0.3):
        faded = np.rint(np.array(PALETTE[1]) * opacity + 255 * (1 - opacity))
        assert (image == faded.astype(np.uint8)).all(axis=2).sum() == 64 * 16


def test_prediction_panel():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    masks = [[np.full((20, 30), k, np.uint8) for k in (0, 1, 255)] for _ in range(2)]
    titles = ('image', 'truth', 'ours', 'theirs')
    image = prediction_panel(images, masks, titles, CLASSES, PALETTE, ['one'], 60)
    assert image.shape[1] == 8 + 4 * 68
    for color in PALETTE[:2]:
        assert (image == color).all(axis=2).sum() >= 2 * 60 * 40
    with pytest.raises(ValueError, match='zip'):
        prediction_panel(images, masks[:1], titles, CLASSES, PALETTE)
