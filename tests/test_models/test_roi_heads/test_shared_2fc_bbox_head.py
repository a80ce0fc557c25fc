"""The box head and its loss give the numbers of the host."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmdet.models.losses import SmoothL1Loss as HostLoss  # noqa: E402
from mmengine.config import ConfigDict  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

from s5_mm.models import SmoothL1Loss  # noqa: E402
from s5_mm.registry import MODELS  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402

from ..test_detectors.oriented import hosted  # noqa: E402

HEAD = 's5_mm.Shared2FCBBoxHead'
COUNT, CLASSES = 24, 3


def _head(kind=HEAD, **kwargs):
    cfg = ConfigDict(hosted(toy_detector())).roi_head.bbox_head
    cfg.update(type=kind, **kwargs)
    with DefaultScope.overwrite_default_scope('mmrotate'):
        return MODELS.build(cfg)


def _inputs(positive, agnostic=True, classes=CLASSES):
    """Predictions with gradients, and targets as the head makes them."""
    generator = torch.Generator().manual_seed(positive)
    width = 5 if agnostic else 5 * classes
    scores = torch.randn(COUNT, classes + 1, generator=generator).requires_grad_()
    boxes = torch.randn(COUNT, width, generator=generator).requires_grad_()
    rois = torch.rand(COUNT, 6, generator=generator) * 50 + 1
    labels = torch.full((COUNT,), classes)
    labels[:positive] = torch.randint(0, classes, (positive,), generator=generator)
    labels = labels[torch.randperm(COUNT, generator=generator)]
    weights = (torch.rand(COUNT, generator=generator) > 0.2).float() * 2
    targets = torch.randn(COUNT, 5, generator=generator)
    inside = (labels < classes).float()[:, None].expand(-1, 5).clone()
    return scores, boxes, rois, labels, weights, targets, inside


def _run(kind, positive, **kwargs):
    inputs = _inputs(positive, kwargs.get('reg_class_agnostic', True))
    losses = _head(kind, **kwargs).loss(*inputs)
    (losses['loss_cls'] + losses['loss_bbox']).backward()
    return losses, inputs[0].grad, inputs[1].grad


@pytest.mark.parametrize('positive', [0, 1, 9, COUNT])
@pytest.mark.parametrize('agnostic', [True, False])
@pytest.mark.parametrize('decoded', [True, False])
def test_is_the_hosts_head(positive, agnostic, decoded):
    if decoded and not agnostic:
        pytest.skip('mmrotate decodes no boxes of several classes')
    kwargs = dict(reg_class_agnostic=agnostic, reg_decoded_bbox=decoded)
    ours = _run(HEAD, positive, **kwargs)
    host = _run('mmdet.Shared2FCBBoxHead', positive, **kwargs)
    assert ours[0].keys() == host[0].keys()
    for name, value in host[0].items():
        torch.testing.assert_close(ours[0][name], value, rtol=1e-6, atol=0)
    for one, other in zip(ours[1:], host[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    assert (ours[0]['loss_bbox'] > 0) == (positive > 0)


def test_no_weighted_roi_divides_by_one():
    for kind in (HEAD, 'mmdet.Shared2FCBBoxHead'):
        inputs = list(_inputs(4))
        inputs[4] = torch.zeros(COUNT)
        assert _head(kind).loss(*inputs)['loss_cls'] == 0


def test_no_roi_at_all():
    empty = [value[:0] for value in _inputs(4)]
    ours, host = _head().loss(*empty), _head('mmdet.Shared2FCBBoxHead').loss(*empty)
    assert ours.keys() == host.keys() == {'loss_bbox'}
    assert ours['loss_bbox'] == host['loss_bbox'] == 0


def test_parameters_have_the_hosts_names():
    ours, host = _head().state_dict(), _head('mmdet.Shared2FCBBoxHead').state_dict()
    assert list(ours) == list(host)


@pytest.mark.parametrize('weighted', ['some', 'none', 'absent'])
@pytest.mark.parametrize('reduction', [None, 'sum', 'none'])
@pytest.mark.parametrize('factor', [None, 7])
def test_loss_is_the_hosts(weighted, reduction, factor):
    if factor and reduction:
        pytest.skip('the host divides means alone')
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(3, 9, 5, generator=generator, dtype=torch.float64)
    found = []
    for kind in (SmoothL1Loss, HostLoss):
        predicted = data[0].clone().requires_grad_()
        weight = dict(
            some=data[2].clamp(min=0), none=torch.zeros_like(data[2]), absent=None
        )[weighted]
        loss = kind(beta=0.3, loss_weight=1.5)(
            predicted, data[1], weight, avg_factor=factor, reduction_override=reduction
        )
        loss.sum().backward()
        found.append((loss.detach(), predicted.grad))
    if (weighted, reduction) == ('none', 'none'):
        # The host gives a scalar here, ours what was asked for.
        assert found[0][0].equal(torch.zeros(9, 5).double())
    else:
        assert found[0][0].equal(found[1][0])
    assert found[0][1].equal(found[1][1])
    assert (found[0][1].abs().sum() > 0) == (weighted != 'none')


def test_loss_rejects_an_unknown_reduction():
    with pytest.raises(ValueError, match='reduction_override=.best., allowed'):
        SmoothL1Loss()(torch.ones(2, 4), torch.ones(2, 4), reduction_override='best')
