"""What FixMatch hands to the rules, and when; eager and compiled."""

import copy

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from s5_mm.models import FixMatch
from s5_mm.models.data_preprocessors import MixPlan, rectangles_to_mask
from s5_mm.models.pseudo_labels import Predictions

from ...support.distributed import run_ranks
from ..test_segmentors.compiled import Graphs, crops, fixmatch
from ..toys import toy_segmentor
from .batches import RULES, H, K, W
from .reference import Average, reference

ALIGNMENT = dict(type='s5_mm.DistributionAlignment', momentum=0.5)


def build(norm='none', **train_cfg):
    torch.manual_seed(0)
    model = FixMatch(toy_segmentor(norm, K), train_cfg)
    model.init_weights()
    # Spread the logits so that a rule passes some pixels and not others.
    model.student.decode_head.conv_seg.weight.data.mul_(300)
    return model.train()


def batch(seed, share=slice(None)):
    """Four labelled and four unlabelled images without mixing, and padding in both."""
    draw = torch.Generator().manual_seed(seed)
    names = ('sup', 'unsup_weak', 'unsup_strong')
    inputs = {name: torch.randn(4, 3, H, W, generator=draw)[share] for name in names}
    labels = torch.randint(0, K, (4, 1, H, W), generator=draw).to(torch.uint8)
    for i in range(4):
        labels[i, :, : 3 * i] = 255
    rectangles = torch.tensor([[0, 0, W - 4 * i, H - i] for i in range(4)])[share]
    valid = rectangles_to_mask(rectangles, H, W)
    nowhere = torch.zeros_like(valid)
    partner = torch.arange(len(valid))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    return inputs, dict(sup=samples[share]), MixPlan(nowhere, partner, valid)


def full(network, images):
    """Logits at full size, fp64 numpy."""
    logits = network.decode_head(network.extract_feat(images))
    size = images.shape[-2:]
    return F.interpolate(logits, size=size, mode='bilinear').detach().double().numpy()


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def labels_of(samples):
    return torch.cat([sample.gt_sem_seg.data for sample in samples['sup']]).numpy()


@pytest.mark.parametrize('norm', ['none', 'bn'])
def test_labelled_confidence_is_that_of_the_student_in_train_mode(hub, norm):
    """Seen in the burn-in too, and used from the next iteration on."""
    model = build(norm, threshold=RULES['adamatch'], burn_in=2)
    average = Average(0.5, 1.0)
    for step in range(5):
        hub.update_info('iter', step)
        inputs, samples, mix = batch(step)
        assert model.threshold.labelled_confidence.value.item() == pytest.approx(
            average.value, rel=1e-6
        )
        student = copy.deepcopy(model.student).train()
        together = [inputs['sup'], inputs['unsup_strong']][: 1 if step < 2 else 2]
        p_l = softmax(full(student, torch.cat(together))[:4])
        counted = labels_of(samples) != 255
        losses = model(inputs, samples, mode='loss', mix=mix)
        assert 'confidence' not in losses
        assert ('loss_unsup' in losses) == (step >= 2)
        if step >= 2:
            teacher = copy.deepcopy(model.student).eval()
            if norm == 'none':  # else the student's statistics have moved on
                c = softmax(full(teacher, inputs['unsup_weak'])).max(axis=1)
                passed = (c >= 0.9 * average.value)[mix.valid.numpy()]
                assert losses['mask_ratio'].item() == pytest.approx(passed.mean())
                assert 0.02 < passed.mean() < 0.98
        average.add(p_l.max(axis=1)[counted].mean())
    assert model.threshold.labelled_confidence.updates == 5


@pytest.mark.parametrize('name', ['freematch', 'entropy', 'rank', 'softmatch'])
def test_loss_with_rule_and_alignment_is_the_equations(hub, name):
    model = build(threshold=RULES[name], alignment=ALIGNMENT, burn_in=1).double()
    rule = reference(RULES[name])
    prior, model_p = Average(0.5, 0.0), Average(0.5, 0.0)
    hub.update_info('max_iters', 6)
    for step in range(4):
        hub.update_info('iter', step)
        inputs, samples, mix = batch(step)
        inputs = {key: images.double() for key, images in inputs.items()}
        losses = model(inputs, samples, mode='loss', mix=mix)
        truth = labels_of(samples)
        prior.add(np.array([(truth == k).sum() for k in range(K)]) / (truth < K).sum())
        if step < 1:
            continue
        p = softmax(full(model.student, inputs['unsup_weak']))
        valid = mix.valid.numpy()
        model_p.add(p.transpose(0, 2, 3, 1)[valid].mean(axis=0))
        ratio = (prior.value + 1e-6) / (model_p.value + 1e-6)
        p = p * ratio[:, None, None]
        p = torch.from_numpy(p / p.sum(axis=1, keepdims=True))
        confidence, labels = p.max(dim=1)
        aligned = Predictions(labels, confidence, mix.valid, p)
        weight = rule.step(aligned, (step - 1) / 5)
        p_s = softmax(full(model.student, inputs['unsup_strong']))
        total = sum(
            -weight[i, y, x] * np.log(p_s[i, labels[i, y, x], y, x])
            for i, y, x in zip(*np.nonzero(valid), strict=True)
        )
        assert losses['loss_unsup'].item() == pytest.approx(total / valid.sum(), 1e-6)
        ratio = weight[valid].sum() / valid.sum()
        assert losses['mask_ratio'].item() == pytest.approx(ratio, 1e-6)
        assert 0.02 < ratio < 0.98


def test_pictures_and_the_burn_in_teach_the_rule_nothing(hub):
    model = build(threshold=RULES['freematch'], alignment=ALIGNMENT, burn_in=1)
    inputs, samples, mix = batch(0)
    model(inputs, samples, mode='loss', mix=mix)
    assert not model.threshold.confidence.started
    assert not model.alignment.model.started.any()
    assert model.alignment.labels.started.all()
    hub.update_info('iter', 1)
    model(inputs, samples, mode='loss', mix=mix)
    before = copy.deepcopy(model.state_dict())
    model.pseudo_labels(inputs['unsup_weak'], mix)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert model.threshold.confidence.updates == 1


@pytest.mark.parametrize(
    ('burn_in', 'length', 'expected'),
    [(0, 4, [0, 1 / 4, 2 / 4, 3 / 4]), (2, 6, [0, 0, 0, 1 / 4]), (0, None, [0] * 4)],
)
def test_progress_is_the_share_since_the_burn_in(hub, burn_in, length, expected):
    model = build(threshold=RULES['rank'], burn_in=burn_in)
    if length:
        hub.update_info('max_iters', length)
    for step, share in enumerate(expected):
        hub.update_info('iter', step)
        inputs, samples, mix = batch(step)
        model(inputs, samples, mode='loss', mix=mix)
        assert model.threshold.progress == pytest.approx(share)


# -- compiled ------------------------------------------------------------------------
def train(model, steps, length=8):
    """Real training steps; yields what is logged after each."""
    torch.manual_seed(1)  # of dropout and drop path
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-2))
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', length)
    for step in range(steps):
        hub.update_info('iter', step)
        yield model.train_step(crops(step), wrapper)


@pytest.mark.parametrize(
    ('name', 'alignment'), [('adamatch', None), ('freematch', ALIGNMENT)]
)
def test_each_step_is_compiled_once_and_is_the_eager_step(hub, name, alignment):
    settings = dict(threshold=RULES[name], alignment=alignment, burn_in=2)
    eager, compiled = (fixmatch(conf_thresh=None, **settings) for _ in range(2))
    graphs = Graphs()
    compiled.compile_steps(backend=graphs.backend, dynamic=False)
    seen, logs = [], ([], [])
    for logged in train(compiled, 5):
        seen.append(graphs.count)
        logs[0].append(logged)
    # The labelled step, then the teacher's and the student's; none again.
    assert seen == [1, 1, 3, 3, 3]
    assert not graphs.breaks
    logs[1].extend(train(eager, 5))
    for own, want in zip(*logs, strict=True):
        torch.testing.assert_close(own, want, rtol=1e-5, atol=1e-6)
    own, want = (m.threshold.state_dict() for m in (compiled, eager))
    torch.testing.assert_close(own, want, rtol=1e-5, atol=1e-6)


def _steps(rank, world, backend):
    settings = dict(threshold=RULES['adamatch'], alignment=ALIGNMENT)
    model = build('sync', **settings)
    model.student.double()
    graphs = Graphs(backend or 'eager')
    if backend is not None:
        model.compile_steps(backend=graphs.backend, dynamic=False)
    ratios = []
    for step in range(2):
        inputs, samples, mix = batch(
            step, slice(rank * 4 // world, (rank + 1) * 4 // world)
        )
        inputs = {name: images.double() for name, images in inputs.items()}
        losses = model(inputs, samples, mode='loss', mix=mix)
        _, logged = model.parse_losses(losses)
        ratios.append(logged['mask_ratio'])
    state = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith(('threshold.', 'alignment.'))
    }
    return dict(state=state, ratios=ratios, graphs=graphs.count)


@pytest.mark.parametrize('backend', [None, 'aot_eager'])
def test_two_processes_equal_one(tmp_path, backend):
    alone = _steps(0, 1, None)
    both = run_ranks(_steps, 2, tmp_path, backend)
    for rank in both:
        torch.testing.assert_close(rank['state'], alone['state'], rtol=1e-9, atol=0)
        torch.testing.assert_close(rank['ratios'], alone['ratios'], rtol=1e-6, atol=0)
        assert rank['graphs'] == (0 if backend is None else 2)
    for key, value in both[0]['state'].items():
        assert torch.equal(value, both[1]['state'][key]), key
