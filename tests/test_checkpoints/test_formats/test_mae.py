"""The MAE family of remote sensing: who is recognised, and what each one needs."""

import math
import re

import pytest
import torch

from s5_mm.checkpoints import (
    FORMATS,
    CheckpointError,
    convert,
    find_format,
    format_named,
    load_into,
)
from s5_mm.checkpoints.formats.mae import scaled_sincos
from s5_mm.models.backbones import ViT

from ..test_loading import SIZES, _mae

# What files of each model have besides the encoder and MAE's decoder.
EXTRA = {
    'mae': (),
    'satmae': ('proj_up_conv.weight', 'proj_up_norm.bias', 'up_block.res_norm.weight'),
    'selectivemae': (
        'decoder_embed1.weight',
        'pos_embed_probs',
        'get_token_probs.0.attn.qkv.weight',
        'get_token_probs_linear.bias',
        'hog.weight_x',
    ),
    'ma3e': ('angle_embed', 'decoder_embed.weight'),
    'scalemae': ('mask_token_decoder', 'fpn.fpn1.0.weight', 'fcn_high.conv.weight'),
}


def _file(name, grid=14):
    state = _mae(grid=grid)
    return state | {key: torch.zeros(2, 2) for key in EXTRA[name]}


@pytest.mark.parametrize('wrap', ['', 'module.', '_orig_mod.'])
@pytest.mark.parametrize('name', EXTRA)
def test_each_is_recognised_by_its_names(name, wrap):
    state = {wrap + key: value for key, value in _file(name).items()}
    assert find_format(state).name == name
    converted = convert(state)
    plain = {key.removeprefix(wrap) for key in converted.unused}
    decoder = {key for key in _mae() if key.startswith(('decoder', 'mask'))}
    assert plain == decoder | set(EXTRA[name])
    assert {key.split('.')[0] for key in converted.state} == {'backbone'}


@pytest.mark.parametrize('name', sorted(set(EXTRA) - {'scalemae'}))
def test_the_encoder_is_timms_at_any_grid(name):
    timm = pytest.importorskip('timm.models.vision_transformer')
    theirs = timm.VisionTransformer(
        img_size=64, embed_dim=12, depth=4, num_heads=2, num_classes=0
    ).double()
    state = _file(name, grid=4)
    theirs.load_state_dict(
        {key: state[key] for key in theirs.state_dict()}, strict=True
    )
    model = ViT(
        SIZES, img_size=64, with_cls_token=True, with_fpn=False, final_norm=True
    ).double()
    report = load_into(model, {'model': state}, 'file.pth')
    assert report.missing == []
    model.eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 64, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        taps = theirs.eval().forward_intermediates(
            images, indices=[0, 1, 2], norm=False, intermediates_only=True
        )
        for ours, tap in zip(model(images), taps, strict=False):
            # The slot of the class token is folded into it in fp32.
            torch.testing.assert_close(ours, tap, rtol=1e-5, atol=1e-5)


def _sincos_by_loops(width, grid, ratio):
    rows = []
    for row in range(grid):
        for column in range(grid):
            values = []
            for position in (column * ratio, row * ratio):
                steps = [10_000 ** (-i / (width / 4)) for i in range(width // 4)]
                values += [math.sin(position * step) for step in steps]
                values += [math.cos(position * step) for step in steps]
            rows.append(values)
    return torch.tensor([rows], dtype=torch.float64)


@pytest.mark.parametrize('ratio', [1.0, 0.3])
def test_sines_of_scaled_positions(ratio):
    found = scaled_sincos(16, 5, ratio)
    torch.testing.assert_close(found.double(), _sincos_by_loops(16, 5, ratio))


def test_scale_maes_positions_are_computed_not_stretched():
    model = ViT(SIZES, img_size=512, with_fpn=False)
    report = load_into(model, {'model': _file('scalemae')}, 'scalemae.pth')
    assert report.missing == []
    expected = _sincos_by_loops(12, 32, 1.0)
    torch.testing.assert_close(model.pos_embed.detach().double(), expected)


def test_patches_of_14_pixels_are_refused_with_the_way_out():
    state = _mae()
    state['patch_embed.proj.weight'] = torch.zeros(12, 3, 14, 14)
    expected = (
        'found (12, 3, 14, 14), the model has (12, 3, 16, 16); '
        'tools/model_converters/convert_checkpoint.py --patch-size 16 resamples it'
    )
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        load_into(ViT(SIZES, img_size=64), state, 'mae_pretrain_vit_huge.pth')


def test_formats_have_names_of_their_own():
    assert len({form.name for form in FORMATS}) == len(FORMATS)
    assert FORMATS[-1].matches([])
    for form in FORMATS:
        assert format_named(form.name) is form
        assert form.title
    with pytest.raises(ValueError, match=r"unknown format 'xyz'; allowed: \['official"):
        format_named('xyz')
