from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from s5_mm.testing import METAINFO, draw_scene


def test_scene_is_a_function_of_seed_and_index():
    first = draw_scene(3, 5, 96)
    np.random.seed(0)
    draw_scene(9, 9, 64)
    again = draw_scene(3, 5, 96)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert len(first.boxes) == len(again.boxes)
    for a, b in zip(first.boxes, again.boxes, strict=True):
        np.testing.assert_array_equal(a.corners, b.corners)


def test_scenes_differ():
    digests = {
        hashlib.sha256(draw_scene(seed, index, 64).image.tobytes()).hexdigest()
        for seed in range(4)
        for index in range(8)
    }
    assert len(digests) == 32


@pytest.mark.parametrize('size', [16, 33, 128])
def test_shapes_and_ranges(size):
    scene = draw_scene(0, 1, size)
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.mask.shape == (size, size)
    assert scene.mask.dtype == np.uint8
    assert scene.mask.max() < len(METAINFO['classes'])


def test_every_class_is_there():
    scenes = [draw_scene(1, index, 128) for index in range(40)]
    pixels = np.concatenate([scene.mask.ravel() for scene in scenes])
    shares = np.bincount(pixels, minlength=6) / pixels.size
    assert shares.shape == (6,)
    assert (shares > [0.3, 0.1, 0.03, 0.02, 0.03, 0.005]).all(), shares
    labels = {box.label for scene in scenes for box in scene.boxes}
    assert labels == {'small-vehicle', 'large-vehicle'}
    assert {box.difficult for scene in scenes for box in scene.boxes} == {0, 1}
    assert len(METAINFO['palette']) == len(METAINFO['classes']) == 6


def test_boxes_cover_the_vehicles_of_the_mask():
    inside = total = easy = 0
    for index in range(30):
        scene = draw_scene(2, index, 128)
        vehicles = scene.mask == 5
        union = np.zeros(scene.mask.shape, dtype=np.uint8)
        for box in scene.boxes:
            plan = np.zeros_like(union)
            corners = np.rint(box.corners * 16).astype(np.int32)
            cv2.fillPoly(plan, [corners], 1, cv2.LINE_8, 4)
            union |= plan
            if not box.difficult:
                easy += 1
                assert vehicles[plan > 0].mean() > 0.45
            # Corners are in order around the box: sides are perpendicular.
            sides = np.roll(box.corners, -1, axis=0) - box.corners
            assert abs(sides[0] @ sides[1]) < 1e-6
        inside += (vehicles & (union > 0)).sum()
        total += vehicles.sum()
    assert easy > 20
    # What no box holds are vehicles that are mostly hidden.
    assert inside / total > 0.9


def test_light_and_season_vary():
    means = np.array([draw_scene(5, i, 48).image.mean((0, 1)) for i in range(24)])
    assert means.std(axis=0).min() > 8
    assert (means[:, 0] - means[:, 2]).std() > 5


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='size=8, expected at least 16'):
        draw_scene(0, 0, 8)
    with pytest.raises(ValueError, match='gsd: .* low <= high'):
        draw_scene(0, 0, 64, gsd=(0.6, 0.3))
