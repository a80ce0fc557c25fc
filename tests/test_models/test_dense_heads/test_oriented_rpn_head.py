"""Upright proposals point where the release's do; all others are the host's."""

import math

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmcv.ops import roi_align_rotated  # noqa: E402
from mmengine.config import ConfigDict  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

from s5_mm.registry import MODELS  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402

SIZE = 64


def _head(kind):
    config = toy_detector()['rpn_head'] | dict(type=kind)
    config['anchor_generator']['scales'] = [4]
    proposals = toy_detector()['test_cfg']['rpn']
    with DefaultScope.overwrite_default_scope('mmrotate'):
        return MODELS.build(ConfigDict(config, test_cfg=proposals, train_cfg=None))


def _proposals(kind, da, db):
    """Proposals of one level whose offsets of the two corners are da and db."""
    torch.manual_seed(0)
    head = _head(kind)
    rows = SIZE // 16
    scores = [torch.randn(3, rows, rows) for _ in range(5)]
    deltas = [torch.zeros(3, 6, rows, rows) for _ in range(5)]
    for level in deltas:
        level[:, 4], level[:, 5] = da / 0.5, db / 0.5
        level[:, 3] = 1.0  # taller than the anchors
    scores = [level[None] for level in scores]
    deltas = [level.flatten(0, 1)[None] for level in deltas]
    meta = dict(img_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))
    (found,) = head.predict_by_feat(scores, deltas, batch_img_metas=[meta])
    return found


@pytest.mark.parametrize(('da', 'db'), [(0.5, 0.5), (-0.5, -0.5)])
def test_upright_proposals_have_90_degrees(da, db):
    ours = _proposals('s5_mm.OrientedRPNHead', da, db)
    theirs = _proposals('mmrotate.OrientedRPNHead', da, db)
    upright = theirs.bboxes.tensor[:, 4] < 1e-4 - math.pi / 2
    assert upright.sum() > 5
    assert torch.allclose(
        ours.bboxes.tensor[upright, 4], torch.tensor(math.pi / 2), atol=1e-4
    )
    assert torch.equal(ours.bboxes.tensor[~upright], theirs.bboxes.tensor[~upright])
    assert torch.equal(ours.bboxes.tensor[:, :4], theirs.bboxes.tensor[:, :4])
    assert torch.equal(ours.scores, theirs.scores)


def test_slanted_proposals_are_the_hosts():
    ours = _proposals('s5_mm.OrientedRPNHead', 0.2, 0.1)
    theirs = _proposals('mmrotate.OrientedRPNHead', 0.2, 0.1)
    assert len(ours) > 5
    assert torch.equal(ours.bboxes.tensor, theirs.bboxes.tensor)


def test_why_it_matters():
    """In the release's convention -90 degrees pool what +90 pool in mmrotate's."""
    features = torch.randn(1, 2, 32, 32)

    def pooled(angle, clockwise):
        roi = torch.tensor([[0.0, 16.0, 16.0, 12.0, 6.0, angle]])
        return roi_align_rotated(features, roi, (4, 4), 1.0, 2, True, clockwise)

    release = pooled(-math.pi / 2, False)
    torch.testing.assert_close(pooled(math.pi / 2, True), release)
    turned = pooled(-math.pi / 2, True)
    torch.testing.assert_close(turned.flip(2, 3), release)
    assert not torch.allclose(turned, release, atol=0.1)
