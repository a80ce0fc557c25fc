"""MultiDatasetSegmentor: a mixed batch is separate passes, and who owns what."""

import pytest
import torch
from mmengine.logging import MessageHub

from s5_mm.checkpoints import CheckpointError, load_into
from s5_mm.models.folding import fold_state
from s5_mm.registry import MODELS
from s5_mm.utils.routing import DatasetSlice, RoutingError

from .multi_dataset import CLASSES, SIZE, batch, build, config, total


def gradients(model, losses):
    model.zero_grad()
    total(losses).backward()
    return {
        name: None if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize('moe', [True, False])
def test_mixed_batch_is_separate_passes(moe):
    model = build(moe=moe).train()
    images, samples = batch('aabbcccc')
    losses = model.loss(images, samples)
    assert sorted(losses) == ['a.loss_ce', 'b.loss_ce', 'c.loss_ce']
    got = gradients(model, losses)
    buffers = {k: v.clone() for k, v in model.named_buffers() if 'num_b' not in k}

    again = build(moe=moe).train()
    again.zero_grad()
    for start, stop in ((0, 2), (2, 4), (4, 8)):
        alone = again.loss(images[start:stop], samples[start:stop])
        for name, value in alone.items():
            torch.testing.assert_close(losses[name], value, rtol=1e-12, atol=1e-12)
        total(alone).backward()
    for name, parameter in again.named_parameters():
        torch.testing.assert_close(
            got[name], parameter.grad, rtol=1e-12, atol=1e-12, msg=name
        )
    for name, buffer in again.named_buffers():
        if name in buffers:
            torch.testing.assert_close(buffers[name], buffer, rtol=1e-12, atol=1e-12)


def test_loss_is_the_mean_over_labelled_pixels():
    model = build().eval()
    images, samples = batch('ab')
    losses = model.loss(images, samples)
    for image, sample, name in zip(images, samples, 'ab', strict=True):
        logits = model.encode_decode(image[None], name)[0]
        labels = sample.gt_sem_seg.data[0]
        terms = [
            -logits[:, y, x].log_softmax(0)[int(labels[y, x])]
            for y in range(SIZE)
            for x in range(SIZE)
            if labels[y, x] != 255
        ]
        want = torch.stack(terms).mean()
        torch.testing.assert_close(losses[f'{name}.loss_ce'], want, rtol=1e-12,
                                   atol=0)  # fmt: skip


def test_only_its_samples_train_a_data_sets_parts():
    model = build().train()
    got = gradients(model, model.loss(*batch('aacc')))
    for name in 'abc':
        owned = {id(p) for p in model.dataset_parameters(name)}
        keys = {k for k, p in model.named_parameters() if id(p) in owned}
        assert len(keys) == 2 * 4 + len(list(model.decode_heads[name].parameters()))
        for key in keys:
            assert (got[key] is None) == (name == 'b'), key
    shared = [k for k in got if 'experts' not in k and not k.startswith('decode_heads')]
    assert all(got[key] is not None for key in shared)
    # The optimizer leaves b alone, weight decay and all.
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    before = [p.detach().clone() for p in model.dataset_parameters('b')]
    optimizer.step()
    for old, new in zip(before, model.dataset_parameters('b'), strict=True):
        assert torch.equal(old, new)


def test_weights_scale_losses_and_start_iter_leaves_samples_out():
    settings = {name: dict(num_classes=k) for name, k in CLASSES.items()}
    plain = build(datasets=settings).eval()
    settings['b'] = dict(num_classes=3, loss_weight=0.25)
    settings['c'] = dict(num_classes=4, start_iter=10)
    model = build(datasets=settings).eval()
    images, samples = batch('abc')
    hub = MessageHub.get_instance('start_iter')
    MessageHub._instance_dict.move_to_end('start_iter')
    want = plain.loss(images, samples)
    hub.update_info('iter', 9)
    early = model.loss(images, samples)
    assert sorted(early) == ['a.loss_ce', 'b.loss_ce']
    torch.testing.assert_close(early['a.loss_ce'], want['a.loss_ce'])
    torch.testing.assert_close(early['b.loss_ce'], 0.25 * want['b.loss_ce'])
    with pytest.raises(ValueError, match=r"iteration 9: none .*\['c'\].* start_iter"):
        model.loss(images[2:], samples[2:])
    hub.update_info('iter', 10)
    torch.testing.assert_close(
        model.loss(images, samples)['c.loss_ce'], want['c.loss_ce']
    )
    MessageHub._instance_dict.pop('start_iter')


def test_own_losses_of_a_head():
    ce, dice = dict(type='mmseg.CrossEntropyLoss'), dict(type='mmseg.DiceLoss')
    own = dict(num_classes=3, decode_head=dict(loss_decode=[ce, dice]))
    model = build(datasets=dict(a=dict(num_classes=5), b=own), dtype=torch.float32)
    losses = model.eval().loss(*batch('ab', dtype=torch.float32))
    assert sorted(losses) == ['a.loss_ce', 'b.loss_ce', 'b.loss_dice']


def test_ohem_sampler_of_a_head_weighs_pixels():
    sampler = dict(type='mmseg.OHEMPixelSampler', thresh=0.7, min_kept=16)
    own = dict(num_classes=3, decode_head=dict(sampler=sampler))
    plain, hard = (
        build(datasets=dict(b=setting), names='b', dtype=torch.float32).eval()
        for setting in (dict(num_classes=3), own)
    )
    hard.decode_heads['b'].sampler.context = hard.decode_heads['b']
    images, samples = batch('b', dtype=torch.float32)
    easy, kept = (m.loss(images, samples)['b.loss_ce'] for m in (plain, hard))
    assert 0 < kept <= easy


def test_predictions_of_mixed_sizes_and_data_sets():
    model = build().eval()
    images, samples = batch('cabc')
    large = torch.cat([images[3], images[0]], dim=2)
    samples[3].set_metainfo(dict(ori_shape=(32, 64), img_shape=(32, 64)))
    inputs = [*images[:3], large]
    with torch.no_grad():
        found = model.predict(inputs, samples)
        for image, sample, name in zip(inputs, found, 'cabc', strict=True):
            want = model.encode_decode(image[None], name)[0]
            torch.testing.assert_close(
                sample.seg_logits.data, want, rtol=1e-12, atol=1e-12
            )
            assert torch.equal(sample.pred_sem_seg.data[0], want.argmax(0))
            assert len(want) == CLASSES[name]


def test_one_data_set_needs_no_names():
    model = build(names='b').eval()
    image = torch.randn(3, SIZE, SIZE, dtype=torch.float64)
    assert model.predict([image])[0].pred_sem_seg.shape == (SIZE, SIZE)
    assert model([image], mode='predict')[0].seg_logits.data.shape[0] == 3
    raw = model(image[None])['b']
    assert raw.shape == (1, 3, SIZE // 4, SIZE // 4)


def test_tensor_mode_names_the_logits():
    images, samples = batch('aab')
    raw = build().eval()(images, samples)
    assert {k: tuple(v.shape[:2]) for k, v in raw.items()} == dict(a=(2, 5), b=(1, 3))


def test_protocol_of_each_data_set():
    settings = dict(
        a=dict(num_classes=5, test_cfg=dict(flip=['horizontal'])),
        b=dict(num_classes=3, test_cfg=dict(resize=(48, 48))),
        c=dict(num_classes=4),
    )
    model = build(datasets=settings).eval()
    images, samples = batch('abc')
    with torch.no_grad():
        a, b, c = (s.seg_logits.data for s in model.predict(images, samples))
        flipped = model.encode_decode(images[:1].flip(-1), 'a').softmax(1).flip(-1)
        want = (model.encode_decode(images[:1], 'a').softmax(1) + flipped) / 2
    torch.testing.assert_close(a, want[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(b.sum(0), torch.ones_like(b[0]))
    assert not torch.allclose(c.sum(0), torch.ones_like(c[0]))


def single(num_classes=7):
    """An ordinary segmentor of the same size, as S4P leaves it."""
    cfg = config(moe=False)
    torch.manual_seed(3)
    model = MODELS.build(
        dict(
            type='s5_mm.EncoderDecoder',
            backbone=cfg.backbone,
            decode_head=dict(cfg.decode_head, num_classes=num_classes),
            test_cfg=dict(mode='whole'),
        )
    )
    model.init_weights()
    return model.double().eval()


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_s4p_checkpoint_fills_backbone_and_decoders(prefix, monkeypatch):
    source, model = single(), build().eval()
    state = {prefix + name: value for name, value in source.state_dict().items()}
    classifiers = {n: h.conv_seg.weight.clone() for n, h in model.decode_heads.items()}
    lines = []
    monkeypatch.setattr(
        's5_mm.checkpoints.loading.print_log', lambda line, **_: lines.append(line)
    )
    report = load_into(model, dict(state_dict=state), 's4p.pth')
    assert sorted(report.missing) == sorted(
        f'decode_heads.{n}.conv_seg.{k}' for n in 'abc' for k in ('weight', 'bias')
    )
    assert sorted(report.not_used) == [
        f'{prefix}decode_head.conv_seg.bias',
        f'{prefix}decode_head.conv_seg.weight',
    ]
    said = ' '.join(lines)
    assert "its decode_head was handed to each of ['a', 'b', 'c']" in said
    assert 'class layers (conv_seg) are new' in said
    assert '4 dense FFN layers split into the shared part' in said
    images, _ = batch('ab')
    want = source.decode_head._forward_feature(source.extract_feat(images))
    for name, head in model.decode_heads.items():
        feats = model.extract_feat(images, [DatasetSlice(name, 0, 2)])
        got = head._forward_feature(feats)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        assert torch.equal(head.conv_seg.weight, classifiers[name])
    # Copies, not views of one memory.
    with torch.no_grad():
        model.decode_heads['a'].bottleneck.conv.weight.zero_()
    assert model.decode_heads['b'].bottleneck.conv.weight.any()


def test_mdf_checkpoint_starts_a_mixture():
    source, model = build(moe=False).eval(), build().eval()
    report = load_into(model, source.state_dict(), 'mdf.pth')
    assert report.missing == []
    images, samples = batch('abc')
    for name, value in source.loss(images, samples).items():
        got = model.loss(images, samples)[name]
        torch.testing.assert_close(got, value, rtol=1e-12, atol=1e-12)


def test_checkpoint_of_other_data_sets():
    settings = dict(a=dict(num_classes=5), d=dict(num_classes=3))
    source, model = build(), build(datasets=settings)
    message = r"decode_heads for \['a', 'b', 'c'\], none for \['d'\]"
    with pytest.raises(CheckpointError, match=message):
        load_into(model, source.state_dict(), 'x.pth')
    report = load_into(model, source.state_dict(), 'x.pth', mismatch='skip')
    assert all('.d.' in name for name in report.missing)
    assert torch.equal(
        model.decode_heads['a'].conv_seg.weight,
        source.decode_heads['a'].conv_seg.weight,
    )


@pytest.mark.parametrize('moe', [True, False])
def test_folded_model_does_what_the_path_does(moe):
    model = build(moe=moe).eval()
    images, _ = batch('aa')
    for name, count in CLASSES.items():
        plain = single(count)
        plain.load_state_dict(fold_state(model, name))  # strict
        want = model.encode_decode(images, name)
        got = plain.encode_decode(images, [dict(img_shape=(SIZE, SIZE))] * 2)
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    with pytest.raises(RoutingError, match=r"no data set 'd' to fold.*\['a', 'b', 'c'"):
        fold_state(model, 'd')


def test_heads_are_initialised():
    cfg = config()
    cfg.decode_head.init_cfg = dict(
        type='Constant', val=0.5, override=dict(name='conv_seg')
    )
    model = MODELS.build(cfg)
    model.init_weights()
    for head in model.decode_heads.values():
        assert torch.equal(
            head.conv_seg.weight, torch.full_like(head.conv_seg.weight, 0.5)
        )
