"""The RPN head trains and proposes as the host does, with fewer questions."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')


import torch  # noqa: E402
from mmengine.config import ConfigDict  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

from s5_mm.registry import MODELS  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402

from ..test_detectors.oriented import SIZE, hosted, sample  # noqa: E402

HEAD = 's5_mm.DeviceOrientedRPNHead'


def _head(kind=HEAD, border=0, weight=-1, **proposals):
    """The toy's head on the host's other parts; the same weights every time."""
    cfg = ConfigDict(hosted(toy_detector()))
    train = cfg.train_cfg.rpn
    train.update(allowed_border=border, pos_weight=weight)
    cfg.rpn_head.update(type=kind, train_cfg=train, test_cfg=cfg.test_cfg.rpn)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmrotate'):
        head = MODELS.build(cfg.rpn_head)
    head.init_weights()
    torch.nn.init.normal_(head.rpn_reg.weight, std=0.1)
    return head, ConfigDict(cfg.train_cfg.rpn_proposal, **proposals)


def _inputs():
    generator = torch.Generator().manual_seed(1)
    maps = [
        torch.randn(2, 32, SIZE // s, SIZE // s, generator=generator)
        for s in (4, 8, 16, 32, 64)
    ]
    samples = [sample('a', generator) for _ in 'ab']
    for own in samples:
        own.gt_instances.labels.zero_()
    samples[1].gt_instances = samples[1].gt_instances[:0]  # an image without boxes
    return maps, samples


def _run(kind, **kwargs):
    head, proposals = _head(kind, **kwargs)
    torch.manual_seed(2)  # of the sampler
    maps, samples = _inputs()
    losses, found = head.loss_and_predict(maps, samples, proposal_cfg=proposals)
    sum(sum(level) for level in losses.values()).backward()
    return losses, found, head.rpn_reg.weight.grad


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(),
        dict(border=-1, weight=2.0),
        dict(min_bbox_size=20),  # some are too small
        dict(min_bbox_size=10**4),  # all are
        dict(min_bbox_size=-1, max_per_img=7),
    ],
)
def test_is_the_hosts_head(kwargs):
    ours, host = _run(HEAD, **kwargs), _run('OrientedRPNHead', **kwargs)
    for name, levels in host[0].items():
        for one, other in zip(ours[0][name], levels, strict=True):
            assert one.equal(other), name
    assert sum(host[0]['loss_rpn_bbox']) > 0
    assert ours[2].equal(host[2])
    for one, other in zip(ours[1], host[1], strict=True):
        assert set(one.keys()) == {'bboxes', 'scores', 'labels'} == set(other.keys())
        assert type(one.bboxes) is type(other.bboxes)
        assert one.bboxes.tensor.equal(other.bboxes.tensor)
        assert one.scores.equal(other.scores)
        assert one.labels.eq(0).all()
    counts = [len(one.scores) for one in ours[1]]
    assert max(counts) == 0 if kwargs.get('min_bbox_size') == 10**4 else min(counts) > 0


def test_rescaled_proposals_are_the_hosts():
    results = []
    for kind in (HEAD, 'OrientedRPNHead'):
        head, _ = _head(kind)
        maps, samples = _inputs()
        for own in samples:
            own.set_metainfo(dict(scale_factor=(2.0, 2.0)))
        with torch.no_grad():
            results.append(head.eval().predict(maps, samples, rescale=True))
    for one, other in zip(*results, strict=True):
        assert one.bboxes.tensor.equal(other.bboxes.tensor)


def test_no_anchor_inside_the_image():
    head, proposals = _head()
    maps, samples = _inputs()
    for own in samples:
        own.set_metainfo(dict(img_shape=(5, 5)))
    message = r'no anchor lies inside an image of \(5, 5\) with .*allowed_border=0'
    with pytest.raises(ValueError, match=message):
        head.loss_and_predict(maps, samples, proposal_cfg=proposals)


def test_parameters_have_the_hosts_names():
    ours, host = _head()[0].state_dict(), _head('OrientedRPNHead')[0].state_dict()
    assert list(ours) == list(host)
