"""What the benchmark calls right is right."""

import numpy as np
import pytest

pytest.importorskip('mmcv._ext', reason='ops are not compiled: make ops')

from s5_mm.evaluation.rotated_overlaps import pair_ious  # noqa: E402

from .side_by_side_tools import load_tool  # noqa: E402

TOOL = load_tool('benchmark_rotated_iou')


def test_right_is_what_shapely_says():
    geometry = pytest.importorskip('shapely.geometry')

    def polygon(box):
        x, y, w, h, angle = map(float, box)
        u = np.array([np.cos(angle), np.sin(angle)]) * w / 2
        v = np.array([-np.sin(angle), np.cos(angle)]) * h / 2
        return geometry.Polygon([(x, y) + p for p in (u + v, u - v, -u - v, -u + v)])

    rng = np.random.default_rng(1)
    own = TOOL.boxes(rng, 50, 300)
    kinds = TOOL.partners(rng, own)
    assert list(kinds) == ['rounding', 'shifted along its axis', 'wider']
    for kind, (others, right) in kinds.items():
        exact = []
        for one, other in zip(own, others, strict=True):
            a, b = polygon(one), polygon(other)
            exact.append(a.intersection(b).area / a.union(b).area)
        # By rounding the boxes differ; the others are off by their own float32.
        np.testing.assert_allclose(
            right, exact, atol=1e-3 if kind == 'rounding' else 1e-5
        )
        np.testing.assert_allclose(pair_ious(own, others), exact, atol=1e-6)


def test_prints_both(capsys, monkeypatch):
    monkeypatch.setattr('sys.argv', ['x', '--pairs', '200', '--boxes', '50'])
    TOOL.main()
    out = capsys.readouterr().out
    for kind in ('rounding', 'shifted', 'wider', 'suppression of 50 boxes'):
        assert kind in out
    assert out.count('mmcv') == out.count('s5_mm') == 5
