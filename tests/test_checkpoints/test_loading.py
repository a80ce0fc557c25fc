"""Weights of every origin land where they belong, and nothing is lost in silence."""

import logging
import re

import pytest
import torch

from s5_mm.checkpoints import CheckpointError, load_into, loading, unwrap
from s5_mm.models.backbones import ViT
from s5_mm.registry import MODELS

SIZES = dict(embed_dims=12, num_layers=4, num_heads=2)


@pytest.fixture
def logged(monkeypatch):
    """Level and text of everything the loader logs."""
    messages = []

    def record(message, logger, level):
        assert logger == 'current'
        messages.append((level, message))

    monkeypatch.setattr(loading, 'print_log', record)
    return messages


def _vit(seed=0, **kwargs):
    torch.manual_seed(seed)
    model = ViT(**(dict(arch=SIZES, img_size=64, patch_size=16) | kwargs))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def _segmentor(classes=5):
    head = dict(
        type='mmseg.FCNHead',
        in_channels=12,
        in_index=2,
        channels=4,
        num_convs=1,
        num_classes=classes,
        loss_decode=dict(type='mmseg.CrossEntropyLoss'),
    )
    backbone = dict(type='s5_mm.ViT', arch=SIZES, img_size=64)
    config = dict(type='mmseg.EncoderDecoder', backbone=backbone, decode_head=head)
    return MODELS.build(config | dict(test_cfg=dict(mode='whole')))


def _mae(grid=4, decoder=True):
    """A checkpoint in the naming of Meta's MAE, with a slot for the class token."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    weights = {
        'cls_token': draw(1, 1, 12),
        'pos_embed': draw(1, grid * grid + 1, 12),
        'patch_embed.proj.weight': draw(12, 3, 16, 16),
        'patch_embed.proj.bias': draw(12),
        'norm.weight': draw(12),
        'norm.bias': draw(12),
    }
    for i in range(4):
        for name, shape in {
            'norm1.weight': (12,),
            'norm1.bias': (12,),
            'attn.qkv.weight': (36, 12),
            'attn.qkv.bias': (36,),
            'attn.proj.weight': (12, 12),
            'attn.proj.bias': (12,),
            'norm2.weight': (12,),
            'norm2.bias': (12,),
            'mlp.fc1.weight': (48, 12),
            'mlp.fc1.bias': (48,),
            'mlp.fc2.weight': (12, 48),
            'mlp.fc2.bias': (12,),
        }.items():
            weights[f'blocks.{i}.{name}'] = draw(*shape)
    if decoder:
        weights['mask_token'] = draw(1, 1, 8)
        for i in range(8):
            weights[f'decoder_blocks.{i}.norm1.weight'] = draw(8)
    return weights


def test_mae_with_another_grid(logged):
    model, weights = _vit(), _mae(grid=3)
    before = model.fpn2[0].weight.clone()
    report = load_into(model, {'model': weights, 'epoch': 3}, 'mae.pth')
    assert torch.equal(
        model.layers[2].attn.attn.in_proj_weight, weights['blocks.2.attn.qkv.weight']
    )
    assert torch.equal(
        model.layers[3].ffn.layers[1].bias, weights['blocks.3.mlp.fc2.bias']
    )
    grid = weights['pos_embed'][:, 1:].reshape(1, 3, 3, 12).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=(4, 4), mode='bicubic')
    torch.testing.assert_close(
        model.pos_embed.detach(), grid.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(model.fpn2[0].weight, before)
    assert {name.split('.')[0] for name in report.missing} == {'fpn1', 'fpn2'}
    assert len(report.loaded) == 4 * 12 + 3


def test_one_warning_names_everything_left_over(logged):
    report = load_into(_vit(), _mae(), 'mae.pth')
    assert set(report.not_used) == {
        'cls_token',
        'norm.weight',
        'norm.bias',
        'mask_token',
        *(f'decoder_blocks.{i}.norm1.weight' for i in range(8)),
    }
    ((level, message),) = logged
    assert level == logging.WARNING
    for part in (
        'mae.pth: 51 tensors loaded',
        'not used from the file: cls_token, norm.weight, norm.bias, mask_token, '
        'decoder_blocks.{0..7}.norm1.weight',
        'not in the file and left as they were: fpn1.{0,3}.weight',
    ):
        assert part in message


def test_a_complete_file_is_no_warning(logged):
    load_into(_vit(), _vit(1).state_dict(), 'own.pth')
    assert [level for level, _ in logged] == [logging.INFO]


def test_slot_of_the_class_token_is_folded_into_it():
    model, weights = _vit(with_cls_token=True), _mae()
    load_into(model, weights, 'mae.pth')
    expected = weights['cls_token'] + weights['pos_embed'][:, :1]
    torch.testing.assert_close(model.cls_token.detach(), expected)
    assert torch.equal(model.pos_embed, weights['pos_embed'][:, 1:])


def test_official_upernet_fills_a_segmentor(logged):
    source, target = _segmentor(), _segmentor()
    names = {
        'backbone.': 'module.encoder.',
        'decode_head.conv_seg.': 'module.semseghead.1.',
        'decode_head.': 'module.semsegdecoder.decode_head.',
    }
    weights = {'module.encoder.cls_token': torch.zeros(1, 1, 12)}
    for key, value in source.state_dict().items():
        ours = next(name for name in names if key.startswith(name))
        weights[names[ours] + key[len(ours) :]] = value
    dummy = 'module.semsegdecoder.decode_head.conv_seg.weight'
    weights[dummy] = torch.zeros(1, 4, 1, 1)
    report = load_into(target, {'model': weights}, 's4p.pth')
    assert report.not_used == ['module.encoder.cls_token', dummy]
    assert report.missing == []
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value)


@pytest.mark.parametrize(
    'prefix', ['', 'module.', 'encoder.', 'backbone.', 'student.backbone.']
)
@pytest.mark.parametrize('wrapper', [None, 'model', 'state_dict'])
def test_prefixes_and_wrappers_around_a_backbone(prefix, wrapper):
    source, target = _vit(1), _vit(2)
    weights = {prefix + key: value for key, value in source.state_dict().items()}
    weights = {wrapper: weights, 'meta': {}} if wrapper else weights
    report = load_into(target, weights, 'file.pth')
    assert report.not_used == report.missing == []
    for a, b in zip(target.parameters(), source.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_segmentor_fills_a_wrapper_under_student():
    class Wrapper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.student = _segmentor()

    source, wrapper = _segmentor(), Wrapper()
    report = load_into(wrapper, source.state_dict(), 'segmentor.pth')
    assert report.missing == report.not_used == []
    assert torch.equal(
        wrapper.student.decode_head.conv_seg.weight, source.decode_head.conv_seg.weight
    )


def test_a_bare_backbone_fills_a_segmentor(logged):
    source, target = _vit(1), _segmentor()
    report = load_into(target, source.state_dict(), 'vit.pth')
    assert torch.equal(target.backbone.pos_embed, source.pos_embed)
    assert all(name.startswith('decode_head.') for name in report.missing)


def test_a_prefix_selects_a_part():
    teacher, student, target = _vit(1), _vit(2), _vit(3)
    weights = {f'teacher.backbone.{k}': v for k, v in teacher.state_dict().items()}
    weights |= {f'student.backbone.{k}': v for k, v in student.state_dict().items()}
    load_into(target, weights, 'both.pth', prefix='teacher.backbone.')
    assert torch.equal(target.pos_embed, teacher.pos_embed)
    load_into(target, weights, 'both.pth')
    assert torch.equal(target.pos_embed, student.pos_embed)


@pytest.mark.parametrize(
    ('prefix', 'taken'),
    [('', 0), ('student.', 0), ('teacher.', 1), ('ema_state_dict.', 2)],
)
def test_a_prefix_selects_one_of_several_networks(prefix, taken):
    """DINO and iBOT keep two networks at the top; mmengine's EMAHook a third way."""
    states = [_vit(seed).state_dict() for seed in (1, 2, 3)]
    averaged = {f'module.{name}': value for name, value in states[2].items()}
    content = {
        'student': {f'module.backbone.{k}': v for k, v in states[0].items()},
        'teacher': {f'backbone.{k}': v for k, v in states[1].items()},
        'ema_state_dict': averaged | {'steps': torch.tensor(3)},
        'epoch': 3,
    }
    model = _vit(4)
    report = load_into(model, content, 'dino.pth', prefix=prefix)
    assert report.missing == []
    assert torch.equal(model.pos_embed, states[taken]['pos_embed'])


@pytest.mark.parametrize(
    'wrapper',
    ['teacher', 'model_ema', 'state_dict_ema', 'ema_state_dict', 'target_encoder'],
)
def test_a_file_of_one_network_under_any_common_name(wrapper):
    source, model = _vit(1), _vit(2)
    load_into(model, {wrapper: source.state_dict(), 'opt': {}}, 'file.pth')
    assert torch.equal(model.pos_embed, source.pos_embed)


def test_nothing_matches():
    weights = {'stem.conv.weight': torch.zeros(1), 'fc.bias': torch.zeros(1)}
    with pytest.raises(
        CheckpointError,
        match=r"resnet.pth: nothing in it matches ViT; found keys like \['stem.conv."
        r"weight', 'fc.bias'\], expected keys like \['pos_embed', 'patch_embed",
    ):
        load_into(_vit(), weights, 'resnet.pth')
    with pytest.raises(CheckpointError, match="under the prefix 'ema.' matches ViT"):
        load_into(_vit(), _vit().state_dict(), 'own.pth', prefix='ema.')


def test_no_tensors_at_all():
    with pytest.raises(
        CheckpointError, match=r"log.pth: no weights found.*\['epoch', 'meta'\]"
    ):
        load_into(_vit(), {'epoch': 1, 'meta': {}}, 'log.pth')


def test_other_shapes_are_named_with_both_and_nothing_is_loaded():
    model, weights = _vit(), _mae()
    weights['patch_embed.proj.weight'] = torch.zeros(12, 3, 14, 14)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    expected = (
        'mae.pth: 1 tensors have another shape: patch_embed.projection.weight: '
        'found (12, 3, 14, 14), the model has (12, 3, 16, 16)'
    )
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        load_into(model, weights, 'mae.pth')
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_other_width_of_the_position_embedding_is_named():
    weights = _vit().state_dict()
    weights['pos_embed'] = torch.zeros(1, 17, 8)
    with pytest.raises(CheckpointError, match=r'pos_embed: found \(1, 17, 8\)'):
        load_into(_vit(), weights, 'own.pth')


def test_other_classes_can_be_skipped(logged):
    source, target = _segmentor(classes=7), _segmentor(classes=5)
    before = target.decode_head.conv_seg.weight.clone()
    report = load_into(target, source.state_dict(), 'seg.pth', mismatch='skip')
    assert len(report.mismatched) == 2
    assert torch.equal(target.decode_head.conv_seg.weight, before)
    assert (
        'conv_seg.weight: found (7, 4, 1, 1), the model has (5, 4, 1, 1)'
        in (logged[0][1])
    )
    with pytest.raises(
        ValueError, match="mismatch='warn', allowed are 'raise' and 'skip'"
    ):
        load_into(target, source.state_dict(), 'seg.pth', mismatch='warn')


def test_tensors_beside_the_weights_are_not_taken_for_them():
    weights = _mae()
    assert unwrap({'epoch': torch.tensor(3), 'model': weights}, 'x').keys() == (
        weights.keys()
    )


def test_pretrained_config_reads_the_file(tmp_path, logged):
    path = str(tmp_path / 'mae.pth')
    torch.save({'model': _mae(grid=3)}, path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    model = MODELS.build(
        dict(type='s5_mm.ViT', arch=SIZES, img_size=64, init_cfg=init_cfg)
    )
    model.init_weights()
    assert torch.equal(
        model.layers[0].ln1.weight, _mae(grid=3)['blocks.0.norm1.weight']
    )
    assert [level for level, _ in logged] == [logging.WARNING]
    assert path in logged[0][1]


def test_pretrained_config_executes_nothing(tmp_path):
    path = tmp_path / 'hostile.pth'

    class Hostile:
        def __reduce__(self):
            return (path.with_suffix('.run').touch, ())

    torch.save({'model': Hostile()}, path)
    model = _vit(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(ValueError, match='hostile.pth'):
        model.init_weights()
    assert not path.with_suffix('.run').exists()


def test_pretrained_config_that_matches_nothing_stops(tmp_path):
    path = tmp_path / 'resnet.pth'
    torch.save({'conv1.weight': torch.zeros(2)}, path)
    model = _vit(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(CheckpointError, match='resnet.pth: nothing in it matches'):
        model.init_weights()


def test_strict_loading_of_an_own_checkpoint_at_another_size():
    small, large = _vit(img_size=64), _vit(1, img_size=96)
    large.load_state_dict(small.state_dict(), strict=True)
    assert large.pos_embed.shape == (1, 36, 12)
    assert torch.equal(large.layers[0].ln1.weight, small.layers[0].ln1.weight)
