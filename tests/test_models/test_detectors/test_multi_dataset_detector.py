"""A detector of several data sets is one detector for each, on a shared backbone."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402
from mmengine.config import ConfigDict  # noqa: E402

from s5_mm.checkpoints.loading import CheckpointError, load_into  # noqa: E402
from s5_mm.models.folding import fold_state  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402
from s5_mm.utils.routing import RoutingError  # noqa: E402

from ...support.distributed import run_ranks  # noqa: E402
from .oriented import CLASSES, batch, build, config, total  # noqa: E402


def _plain(name):
    model = ConfigDict(config())
    model.backbone.update(type='s5_mm.ViT')
    model.backbone.pop('part_features')
    return build().settings[name].plain_model(model, name)


def _boxes(found):
    return [
        (
            one.pred_instances.bboxes,
            one.pred_instances.scores,
            one.pred_instances.labels,
        )
        for one in found
    ]


def _equal(left, right, **tolerance):
    for one, other in zip(left, right, strict=True):
        for x, y in zip(one, other, strict=True):
            torch.testing.assert_close(x, y, **tolerance)


@pytest.mark.parametrize('moe', [True, False])
def test_mixed_batch_is_separate_passes(moe):
    """Losses and gradients: of the mixed batch, and of one pass for each data set."""
    model = build(moe=moe)
    images, samples = batch('aabc')
    torch.manual_seed(7)  # the hosts draw the anchors and RoIs that count
    mixed = model.loss(images, samples)
    total(mixed).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    torch.manual_seed(7)
    separate = {}
    for part in (slice(0, 2), slice(2, 3), slice(3, 4)):
        losses = model.loss(images[part], samples[part])
        total(losses).backward()
        separate.update(losses)
    assert mixed.keys() == separate.keys()
    names = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'acc'}
    assert {key.split('.')[1] for key in mixed} == names
    for key, value in mixed.items():
        torch.testing.assert_close(value, separate[key], atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            gradients[name], parameter.grad, atol=1e-4, rtol=1e-3, msg=name
        )


def test_losses_are_those_of_the_hosts_detector():
    """The part of a data set is the plain detector with the folded weights."""
    model = build()
    images, samples = batch('bb')
    plain = build(_plain('b'))
    plain.load_state_dict(fold_state(model, 'b'))  # strict
    torch.manual_seed(3)
    found = model.loss(images, samples)
    torch.manual_seed(3)
    expected = plain.loss(images, samples)
    for key, value in expected.items():
        levels = value if isinstance(value, list) else [value]
        torch.testing.assert_close(
            found[f'b.{key}'], sum(level.mean() for level in levels)
        )


def test_loss_weight_scales_losses_not_figures():
    images, samples = batch('ab')
    values = []
    for weight in (1.0, 2.5):
        datasets = dict(
            a=dict(num_classes=3, loss_weight=weight), b=dict(num_classes=1)
        )
        torch.manual_seed(1)
        model = build(datasets=datasets)
        torch.manual_seed(2)
        values.append(model.loss(images, samples))
    for key, value in values[0].items():
        factor = 2.5 if key.startswith('a.') and 'loss' in key else 1.0
        torch.testing.assert_close(values[1][key], factor * value)


@pytest.mark.parametrize('moe', [True, False])
def test_absent_data_set_is_left_alone(moe):
    model = build(moe=moe)
    total(model.loss(*batch('ac'))).backward()
    for name in 'abc':
        parts = model.dataset_parameters(name)
        assert parts
        assert all((p.grad is None) == (name == 'b') for p in parts)
    assert model.trained_datasets == {'a', 'c'}
    own = {id(p) for name in 'abc' for p in model.dataset_parameters(name)}
    shared = [n for n, p in model.named_parameters() if id(p) not in own]
    assert all(n.startswith('backbone.') and '.experts.' not in n for n in shared)


def _rank_gradients(rank, world):
    from torch.nn.parallel import DistributedDataParallel

    model = DistributedDataParallel(build())
    names = ['ab', 'ab'][rank]
    torch.manual_seed(rank)
    losses = model(*batch(names, seed=rank), mode='loss')
    total(losses).backward()
    module = model.module
    missing = [n for n, p in module.named_parameters() if p.grad is None]
    idle = sum(p.grad.abs().sum() for p in module.dataset_parameters('c'))
    return dict(missing=len(missing), idle=idle, bias=module.backbone.pos_embed.grad)


def test_processes_agree_and_wait_for_nobody(tmp_path):
    """DDP without find_unused_parameters: data set c is absent on both processes."""
    left, right = run_ranks(_rank_gradients, 2, tmp_path)
    assert left['missing'] == right['missing'] == 0
    assert left['idle'] == right['idle'] == 0
    assert torch.equal(left['bias'], right['bias'])


def test_everything_is_initialised():
    """As the hosts' heads are; the release leaves them to torch's defaults."""
    model, plain = build(), build(toy_detector())
    for name in 'abc':
        own = model.detectors[name]
        assert own.rpn_head.rpn_cls.bias.abs().max() == 0
        assert own.roi_head.bbox_head.fc_reg.bias.abs().max() == 0
        for path, parameter in own.named_parameters():
            if parameter.ndim < 2 or 'fc_cls' in path:
                continue
            expected = plain.get_parameter(path).std()
            torch.testing.assert_close(parameter.std(), expected, rtol=0.2, atol=0)
        std = own.roi_head.bbox_head.fc_cls.weight.std()
        assert 0.007 < std < 0.013  # 0.01, of 2 to 4 rows of 64
    weights = [model.detectors[n].neck.lateral_convs[0].conv.weight for n in 'ab']
    assert not torch.equal(*weights)


def test_prediction_in_any_order():
    model = build().eval()
    # New heads are sure of nothing; a bias lets every class through.
    for name in 'abc':
        head = model.detectors[name].roi_head.bbox_head
        torch.nn.init.normal_(head.fc_cls.weight, std=0.5)
    images, samples = batch('abca')
    with torch.no_grad():
        found = model.predict(images, samples)
        singly = [
            model.predict(images[i : i + 1], samples[i : i + 1])[0] for i in range(4)
        ]
    assert [one.dataset_name for one in found] == list('abca')
    assert all(len(boxes) for boxes, *_ in _boxes(found))
    _equal(_boxes(found), _boxes(singly), atol=1e-3, rtol=1e-3)
    for one, name in zip(found, 'abca', strict=True):
        assert one.pred_instances.labels.max() < CLASSES[name]


@pytest.mark.parametrize('moe', [True, False])
def test_folded_is_the_same_detector(moe):
    model = build(moe=moe).eval()
    for name in 'abc':
        torch.nn.init.normal_(model.detectors[name].roi_head.bbox_head.fc_cls.weight)
        images, samples = batch(name * 2, seed=5)
        plain = build(_plain(name)).eval()
        plain.load_state_dict(fold_state(model, name))  # strict
        with torch.no_grad():
            expected = _boxes(model.predict(images, samples))
            found = _boxes(plain.predict(images, samples))
        assert sum(len(boxes) for boxes, *_ in found)
        _equal(found, expected, atol=1e-3, rtol=1e-3)
    with pytest.raises(RoutingError, match="no data set 'd' to fold"):
        fold_state(model, 'd')


def test_raw_outputs_by_name():
    images, samples = batch('ab')
    out = build().eval()(images, samples, mode='tensor')
    assert list(out) == ['a', 'b']


def test_settings_of_one_data_set_are_merged():
    own = dict(
        num_classes=3,
        detector=dict(
            test_cfg=dict(rcnn=dict(score_thr=0.3)),
            roi_head=dict(bbox_head=dict(loss_cls=dict(loss_weight=2.0))),
        ),
    )
    model = build(datasets=dict(a=own, b=dict(num_classes=1)))
    assert model.detectors['a'].test_cfg.rcnn.score_thr == 0.3
    assert model.detectors['a'].roi_head.bbox_head.loss_cls.loss_weight == 2.0
    assert model.detectors['b'].test_cfg.rcnn.score_thr == 0.05
    assert model.num_classes == dict(a=3, b=1)


def test_start_iter_leaves_samples_out(monkeypatch):
    from mmengine.logging import MessageHub

    datasets = dict(a=dict(num_classes=3), b=dict(num_classes=1, start_iter=5))
    model = build(datasets=datasets)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 4)
    assert {key.split('.')[0] for key in model.loss(*batch('ab'))} == {'a'}
    hub.update_info('iter', 5)
    assert {key.split('.')[0] for key in model.loss(*batch('ab'))} == {'a', 'b'}


def test_single_detector_is_handed_to_each(caplog):
    source, model = build(toy_detector(num_classes=3), seed=4), build()
    report = load_into(model, source.state_dict(), 'x.pth')
    for name in 'abc':
        own = model.detectors[name].state_dict()
        for key, value in source.state_dict().items():
            if key.startswith('backbone.') or 'fc_cls' in key:
                continue
            assert torch.equal(own[key], value), key
    assert all('fc_cls' in name for name in report.missing)
    split = source.backbone.layers[0].ffn.state_dict()['layers.1.weight']
    assert torch.equal(
        model.backbone.fold_state('b')['layers.0.ffn.layers.1.weight'], split
    )


def test_checkpoint_of_other_data_sets():
    source = build(names='ab', moe=False)
    with pytest.raises(CheckpointError, match=r"detectors for \['a', 'b'\], none for"):
        load_into(build(moe=False), source.state_dict(), 'x.pth')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(init_cfg=dict(type='Pretrained')), 'takes no init_cfg'),
        (dict(datasets=dict(a=dict(classes=3))), r"keys \['classes'\]; num_classes is"),
        (
            dict(datasets=dict(a=dict(num_classes=0))),
            '=0, expected a whole number, 1 to',
        ),
        (dict(datasets=dict(gloss=dict(num_classes=1))), "figure with 'loss' in"),
        (dict(detector=dict(type='mmdet.FasterRCNN')), 'expected is a config with'),
        (dict(datasets={}), 'got no data sets'),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_unknown_and_scattered_data_sets():
    model = build(names='ab')
    images, samples = batch('aba')
    with pytest.raises(RoutingError, match='not contiguous'):
        model.loss(images, samples)
    with pytest.raises(RoutingError, match="the data set 'c'"):
        model.predict(*batch('ac'))
