"""One forward pass gives everything, from any checkpoint of a segmentor."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from s5_mm.checkpoints import CheckpointError
from s5_mm.curation.scoring import PatchScorer
from s5_mm.curation.scoring.entropy import pixel_scores
from s5_mm.engine.hooks import CheckpointFitHook
from s5_mm.models.segmentors import FixMatch
from s5_mm.testing.toy import toy_segmentor

from ..support.attacks import orient


def scorer(**kwargs):
    torch.manual_seed(0)
    return PatchScorer(ConfigDict(toy_segmentor(6)), **kwargs)


def brightness_scorer():
    config = dict(
        type='ImgDataPreprocessor', mean=[120.0, 110, 100], std=[60.0, 55, 50]
    )
    return scorer(data_preprocessor=config)


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('amp_dtype', [None, 'bfloat16'])
def test_one_pass_gives_logits_and_feature(images, amp_dtype) -> None:
    model = scorer(amp_dtype=amp_dtype, background=2, mode='keep')
    calls = []
    layers = model.student.backbone.layers
    layers[0].register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        (scores,) = model(images, mode='predict')
        assert calls == [1]
        logits = model(images)
        assert logits.dtype == (getattr(torch, amp_dtype) if amp_dtype else torch.float)
        wanted = pixel_scores(logits, (32, 32), False, 2, 'keep')
        tap = model.student.backbone.forward_intermediates(images)[-1].mean((2, 3))
    for name, value in wanted._asdict().items():
        assert torch.equal(scores[name], value)
    assert scores['features'].dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(scores['features'], tap)
    assert cosine.min() > (0.99 if amp_dtype else 1 - 1e-6)
    assert 'cluster' not in scores
    assert not model.student.backbone.fpn4._forward_pre_hooks


def test_prototypes(images) -> None:
    model = scorer()
    (scores,) = model.predict(images)
    model.set_prototypes(torch.stack([-scores['features'][0], *scores['features']]))
    (again,) = model.predict(images)
    assert again['cluster'].tolist() == [1, 2]
    assert (again['similarity'] - 1).abs().max() < 1e-6
    cosine = (scores['features'][0] @ scores['features'][1]).item()
    assert again['margin'][0].item() == pytest.approx(1 - cosine, abs=1e-6)


def test_features_of_copies_are_those_of_turned_and_brighter_crops() -> None:
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 3, 32, 32)))
    images = images.to(torch.uint8)
    model, plain = brightness_scorer(), brightness_scorer()
    inputs = model.data_preprocessor(dict(inputs=images), False)['inputs']
    (upright,) = model.predict(inputs)
    model.set_gains((1, 1.5))
    (scores,) = model.predict(inputs)
    assert scores['features'].shape == (2, 16, upright['features'].shape[1])
    assert torch.equal(scores['entropy'], upright['entropy'])
    for number in range(16):
        gain, turn = (1, 1.5)[number // 8], number % 8
        copies = [
            orient(image.transpose(1, 2, 0).clip(0, 255 / gain) * gain, turn)
            for image in images.numpy().astype(np.float32)
        ]
        crops = torch.from_numpy(np.stack(copies)).permute(0, 3, 1, 2)
        inputs = plain.data_preprocessor(dict(inputs=crops), False)['inputs']
        (wanted,) = plain.predict(inputs)
        assert torch.allclose(
            scores['features'][:, number], wanted['features'], atol=1e-5
        )
    for number in (1, 8):
        assert (
            scores['features'][:, number] - scores['features'][:, 0]
        ).abs().max() > (1e-4)
    assert model.settings()['gains'] == [1, 1.5]
    with pytest.raises(ValueError, match=r'gains=\(0.7, 1\), the first one must be 1'):
        model.set_gains((0.7, 1))


def test_other_backbones_give_their_last_map() -> None:
    config = ConfigDict(toy_segmentor(6))
    config.backbone = dict(type='mmseg.ResNetV1c', depth=18, num_stages=4)
    config.decode_head.in_channels = [64, 128, 256, 512]
    model = PatchScorer(config)
    images = torch.randn(2, 3, 64, 64)
    (scores,) = model.predict(images)
    with torch.no_grad():
        last = model.student.extract_feat(images)[-1].mean((2, 3))
    wanted = torch.nn.functional.normalize(last, dim=1)
    assert torch.allclose(scores['features'], wanted, atol=1e-6)


def fixmatch(**train_cfg):
    torch.manual_seed(5)
    model = FixMatch(ConfigDict(toy_segmentor(6)), train_cfg)
    if model.teacher is not None:
        for parameter in model.teacher.parameters():
            parameter.data.add_(0.1)
    return model


def load(model, source):
    runner = types.SimpleNamespace(
        model=model,
        _load_from='some.pth',
        work_dir='',
    )
    checkpoint = dict(state_dict=source.state_dict())
    CheckpointFitHook().after_load_checkpoint(runner, checkpoint)
    model.load_state_dict(checkpoint['state_dict'])


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_network_of_a_run_with_a_teacher(network) -> None:
    source, model = fixmatch(ema_momentum=0.9), scorer(network=network)
    load(model, source)
    wanted = getattr(source, network).state_dict()
    for name, value in model.student.state_dict().items():
        assert torch.equal(value, wanted[name])


def test_checkpoint_of_a_bare_segmentor() -> None:
    source, model = fixmatch().student, scorer()
    load(model, source)
    weight = model.student.decode_head.conv_seg.weight
    assert torch.equal(weight, source.decode_head.conv_seg.weight)


def test_a_teacher_that_is_not_there_is_refused() -> None:
    with pytest.raises(CheckpointError, match="some.pth: network='teacher', but there"):
        load(scorer(network='teacher'), fixmatch())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(amp_dtype='half'), "amp_dtype='half', allowed are None, 'bfloat16'"),
        (dict(network='ema'), "network='ema', allowed are 'student' and 'teacher'"),
        (dict(background=6), 'background=6, expected 0 to 5, the id'),
        (dict(mode='no'), "mode='no', allowed are"),
    ],
)
def test_refused_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        scorer(**arguments)


def test_it_does_not_train_and_takes_logits_only(images) -> None:
    model = scorer()
    with pytest.raises(ValueError, match='it cannot be trained'):
        model(images, mode='loss')
    model.student.decode_head.forward = lambda features: list(features)
    with pytest.raises(ValueError, match='UPerHead returns list, expected logits'):
        model.predict(images)
