"""Swin weights of the original in the hosts' models; mmdet's own reader agrees."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.backbones import SwinTransformer
from torch import nn

from s5_mm.checkpoints import convert, find_format, load_into

SMALL = dict(embed_dims=8, depths=(2, 2), num_heads=(2, 4), out_indices=(0, 1))
SMALL |= dict(strides=(4, 2), drop_path_rate=0.0)


def _model(window=4, host=SwinTransformer, **kwargs):
    model = host(window_size=window, **SMALL, **kwargs)
    model.eval()  # mmseg's returns nothing
    return model


def _original(window=4, prefix='encoder.'):
    """Names and shapes of the original's Swin in a SimMIM or GFM file."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def draw(name, *shape):
        state[prefix + name] = torch.randn(*shape, generator=generator) / 4

    draw('patch_embed.proj.weight', 8, 3, 4, 4)
    draw('patch_embed.proj.bias', 8)
    for part in ('weight', 'bias'):
        draw(f'patch_embed.norm.{part}', 8)
    for stage, (width, heads) in enumerate(((8, 2), (16, 4))):
        for block in range(2):
            name = f'layers.{stage}.blocks.{block}.'
            for norm in ('norm1', 'norm2'):
                for part in ('weight', 'bias'):
                    draw(f'{name}{norm}.{part}', width)
            draw(
                f'{name}attn.relative_position_bias_table', (2 * window - 1) ** 2, heads
            )
            index = torch.zeros(window**2, window**2, dtype=torch.long)
            state[f'{prefix}{name}attn.relative_position_index'] = index
            for layer, out, inside in (
                ('attn.qkv', 3 * width, width),
                ('attn.proj', width, width),
                ('mlp.fc1', 4 * width, width),
                ('mlp.fc2', width, 4 * width),
            ):
                draw(f'{name}{layer}.weight', out, inside)
                draw(f'{name}{layer}.bias', out)
            if block:
                state[f'{prefix}{name}attn_mask'] = torch.zeros(4, 16, 16)
    draw('layers.0.downsample.reduction.weight', 16, 32)
    for part in ('weight', 'bias'):
        draw(f'layers.0.downsample.norm.{part}', 32)
        draw(f'norm.{part}', 16)
    if prefix:
        state['encoder.mask_token'] = torch.zeros(1, 1, 8)
        state['decoder.0.weight'] = torch.zeros(4)
        state['teacher.layers.0.blocks.0.attn.qkv.weight'] = torch.zeros(4)
        state['projector.bias'] = torch.zeros(4)
    return state


@pytest.mark.parametrize('prefix', ['', 'encoder.'])
def test_only_the_encoder_is_taken_and_everything_has_a_place(prefix):
    state = _original(prefix=prefix)
    assert find_format(state).name == 'swin'
    model = _model()
    report = load_into(model, {'model': state}, 'gfm.pth')
    # The host calls the norm of its last output norm<stage>: norm3 of four stages.
    left = {'norm.weight', 'norm.bias'}
    assert set(report.missing) - {
        name for name in model.state_dict() if 'relative_position_index' in name
    } == {'norm0.weight', 'norm0.bias', 'norm1.weight', 'norm1.bias'}
    unused = {name.removeprefix(prefix) for name in report.not_used}
    computed = {n for n in unused if n.endswith(('_index', 'attn_mask'))}
    pre_training = {'mask_token', 'decoder.0.weight', 'projector.bias'}
    pre_training |= {'teacher.layers.0.blocks.0.attn.qkv.weight'}
    assert unused - computed == left | (pre_training if prefix else set())
    assert 'norm3.weight' in {n.removeprefix('backbone.') for n in convert(state).state}


def test_patches_are_merged_as_in_the_original():
    """The original concatenates the pixels of a patch; torch's unfold orders them."""
    state = _original(prefix='')
    model = _model()
    load_into(model, state, 'swin.pth')
    x = torch.randn(1, 4, 6, 8)
    pixels = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
    merged = nn.functional.layer_norm(
        torch.cat(pixels, -1),
        (32,),
        state['layers.0.downsample.norm.weight'],
        state['layers.0.downsample.norm.bias'],
    )
    expected = merged @ state['layers.0.downsample.reduction.weight'].T
    with torch.no_grad():
        found, _ = model.stages[0].downsample(x.flatten(1, 2), (4, 6))
    torch.testing.assert_close(found, expected.flatten(1, 2))


@pytest.mark.parametrize('window', [4, 7])
def test_the_hosts_own_reader_gives_the_same_features(window, tmp_path):
    state = _original(prefix='')
    # mmdet's reader fails on the index of another window.
    plain = {name: v for name, v in state.items() if not name.endswith('_index')}
    torch.save({'model': plain}, tmp_path / 'swin.pth')
    host = pytest.importorskip('mmdet.models.backbones').SwinTransformer
    init_cfg = ConfigDict(type='Pretrained', checkpoint=str(tmp_path / 'swin.pth'))
    theirs = _model(window, host, convert_weights=True, init_cfg=init_cfg)
    theirs.init_weights()
    ours = _model(window)
    load_into(ours, {'model': state}, 'swin.pth')
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(ours(images), theirs(images), strict=True):
            torch.testing.assert_close(a, b)


def test_timms_swin_gives_timms_features():
    """timm merges patches at the start of the next stage, under its number."""
    timm = pytest.importorskip('timm.models.swin_transformer')
    torch.manual_seed(0)
    theirs = timm.SwinTransformer(
        img_size=64, embed_dim=8, depths=(2, 2), num_heads=(2, 4), window_size=4
    )
    theirs = theirs.double().eval()
    for name, parameter in theirs.named_parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, float(name.endswith('weight')), 0.2)
    ours = _model().double()
    report = load_into(ours, theirs.state_dict(), 'timm.pth')
    # The norms of the outputs; timm has none.
    assert {name for name in report.missing if 'relative' not in name} == {
        f'norm{stage}.{part}' for stage in range(2) for part in ('weight', 'bias')
    }
    for norm in (ours.norm0, ours.norm1):
        norm.register_forward_hook(lambda module, inputs, output: inputs[0])
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        taps = theirs.forward_intermediates(images, intermediates_only=True)
        for found, expected in zip(ours(images), taps, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
