"""The backbone of RVSA, SAMRS and MTP: layers, names, weights, images of any size."""

import re

import pytest
import torch

from s5_mm.checkpoints import find_format, load_into
from s5_mm.cli.meta import count_params
from s5_mm.models.backbones import ViT, ViTRVSA
from s5_mm.models.layers.rvsa import PositionedAttention, RotatedWindowAttention
from s5_mm.registry import MODELS

SIZES = dict(embed_dims=12, num_layers=4, num_heads=2)


def _model(**kwargs):
    torch.manual_seed(0)
    return ViTRVSA(arch=SIZES, interval=2, window=3, **(dict(img_size=64) | kwargs))


def _published(model):
    """The names under which RVSA's and MTP's files keep a model's weights."""
    state = {}
    for name, tensor in model.state_dict().items():
        name = name.replace('attn.attn.in_proj_', 'attn.qkv.')
        name = name.replace('attn.attn.out_proj', 'attn.proj')
        name = name.replace('ffn.layers.0.0', 'mlp.fc1').replace(
            'ffn.layers.1', 'mlp.fc2'
        )
        name = re.sub(r'^layers\.', 'blocks.', name)
        name = re.sub(r'\.ln([12])\.', r'.norm\1.', name)
        name = name.replace('patch_embed.projection', 'patch_embed.proj')
        state[name] = tensor.clone()
    index = torch.zeros(9, 9, dtype=torch.long)
    return state | {'blocks.0.attn.relative_position_index': index}


@pytest.mark.parametrize(('arch', 'full'), [('b', 3), ('l', 6)])
def test_full_attention_every_so_often(arch, full):
    with torch.device('meta'):
        model = MODELS.build(dict(type='s5_mm.ViTRVSA', arch=arch))
    kinds = [type(layer.attn) for layer in model.layers]
    assert kinds.count(PositionedAttention) == 4
    for index, kind in enumerate(kinds):
        expected = RotatedWindowAttention if (index + 1) % full else PositionedAttention
        assert kind is expected


@pytest.mark.parametrize('wrapper', ['state_dict', 'model'])
def test_published_weights_load_whole(wrapper):
    source, target = _model(), _model()
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    state = _published(source)
    assert find_format(state).name == 'rvsa'
    report = load_into(target, {wrapper: state}, 'rvsa.pth')
    assert report.missing == report.mismatched == []
    assert report.not_used == ['blocks.0.attn.relative_position_index']
    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert torch.equal(a, b)


def test_positions_of_another_grid_are_interpolated():
    source, target = _model(img_size=96), _model(img_size=64)
    table = torch.linspace(-1, 1, 11)[:, None].expand(-1, 6)
    state = _published(source)
    state['blocks.1.attn.full_attn_rel_pos_h'] = table
    report = load_into(target, state, 'rvsa.pth')
    assert report.missing == report.mismatched == []
    found = target.layers[1].attn.full_attn_rel_pos_h.detach()
    assert found.shape == (7, 6)
    torch.testing.assert_close(found[3], torch.zeros(6))
    torch.testing.assert_close(found.flip(0), -found)


def test_weights_of_a_plain_vit_start_it():
    plain = ViT(arch=SIZES, img_size=64)
    report = load_into(_model(), plain.state_dict(), 'mae.pth')
    assert report.not_used == []
    for name in report.missing:
        assert re.search(r'\.(?:full_attn_)?rel_pos_|bias_table|\.sampling_', name), (
            name
        )


@pytest.mark.parametrize('size', [(64, 64), (80, 112), (70, 50)])
@pytest.mark.parametrize('with_cp', [False, True])
def test_images_of_any_size(size, with_cp):
    model = _model(with_cp=with_cp, drop_path_rate=0.0)
    maps = model(torch.randn(1, 3, *size))
    plain = ViT(arch=SIZES, img_size=64)(torch.randn(1, 3, *size))
    assert [m.shape for m in maps] == [m.shape for m in plain]
    sum(m.sum() for m in maps).backward()
    assert model.layers[0].attn.sampling_angles[2].weight.grad.abs().sum() > 0


def test_both_branches_are_dropped():
    model = _model(drop_path_rate=0.5)
    assert model.layers[3].drop_path_attn.drop_prob == 0.5
    assert model.layers[3].drop_path_ffn.drop_prob == 0.5


def test_parameters_beyond_a_plain_vit():
    with torch.device('meta'):
        more = count_params(ViTRVSA('b')) - count_params(ViT('b'))
    window = 2 * 13 * 64 + 169 * 12 + (24 + 24 + 12) * 769
    assert more == 8 * window + 4 * 2 * 63 * 64


def test_wrong_arguments():
    with pytest.raises(ValueError, match='with_cls_token=True: windows have no class'):
        ViTRVSA('b', with_cls_token=True)
    with pytest.raises(ValueError, match=r"arch='h' needs interval.*\['b', 'l'\]"):
        ViTRVSA('h')
    with pytest.raises(ValueError, match='needs interval'):
        ViTRVSA(SIZES)
