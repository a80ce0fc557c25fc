"""Detectors start from MAE and from S4P, with the loader of segmentation."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

import torch  # noqa: E402

from s5_mm.checkpoints import load_into  # noqa: E402
from s5_mm.testing import toy_detector  # noqa: E402

from ...test_checkpoints.test_loading import SIZES, _mae  # noqa: E402
from .oriented import build, config  # noqa: E402

LAYERS = 4


def _detector(several):
    """A detector whose backbone has the sizes of the small MAE file."""
    cfg = config() if several else toy_detector()
    cfg['backbone'].update(arch=SIZES, img_size=64, patch_size=16)
    if several:
        cfg['backbone']['part_features'] = 4
        cfg['detector']['neck']['in_channels'] = [SIZES['embed_dims']] * 4
    else:
        cfg['neck']['in_channels'] = [SIZES['embed_dims']] * 4
    return build(cfg)


def _s4p(mae):
    """What a run of FixMatch keeps: another teacher, and a head for segments."""
    names = {
        'norm1': 'ln1',
        'norm2': 'ln2',
        'attn.qkv.': 'attn.attn.in_proj_',
        'attn.proj': 'attn.attn.out_proj',
        'mlp.fc1': 'ffn.layers.0.0',
        'mlp.fc2': 'ffn.layers.1',
        'patch_embed.proj': 'patch_embed.projection',
        'blocks': 'layers',
    }
    state = {}
    for key, value in mae.items():
        if key.startswith(('cls_token', 'norm')):
            continue
        value = value[:, 1:] if key == 'pos_embed' else value
        for theirs, ours in names.items():
            key = key.replace(theirs, ours)
        state[f'student.backbone.{key}'] = value
        state[f'teacher.backbone.{key}'] = value + 1
    state['student.decode_head.conv_seg.weight'] = torch.randn(5, 8, 1, 1)
    return state


@pytest.mark.parametrize('several', [False, True])
@pytest.mark.parametrize('start', ['mae', 's4p'])
def test_the_backbone_is_the_files_and_all_else_stays(start, several):
    mae = _mae(decoder=start == 'mae')
    checkpoint = {'model': mae} if start == 'mae' else {'state_dict': _s4p(mae)}
    model = _detector(several)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    load_into(model, checkpoint, 'file.pth')
    for index in range(LAYERS):
        layer, block = model.backbone.layers[index], f'blocks.{index}.'
        assert torch.equal(
            layer.attn.attn.in_proj_weight, mae[f'{block}attn.qkv.weight']
        )
        assert torch.equal(layer.ffn.layers[0][0].weight, mae[f'{block}mlp.fc1.weight'])
        parts, whole = [layer.ffn.layers[1].weight], mae[f'{block}mlp.fc2.weight']
        # Every data set's expert starts from the rows of the one that there was.
        experts = layer.ffn.experts.values() if several else ()
        wholes = [torch.cat([*parts, e.weight]) for e in experts] or parts
        assert len(wholes) == (3 if several else 1)
        for found in wholes:
            assert torch.equal(found, whole)
    for key, value in model.state_dict().items():
        if 'backbone' not in key:
            assert torch.equal(value, before[key]), key
