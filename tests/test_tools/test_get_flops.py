"""Parameters and multiply-adds are those of the paper, on the meta device."""

from pathlib import Path

import pytest
from mmengine.config import Config

from tools.analysis_tools import get_flops as TOOL

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/_base_/models/upernet_vit-b.py'
DIMS = dict(b=768, l=1024, h=1280)


def _config(arch, reassociate=True):
    config = Config.fromfile(CONFIG)
    model = config.get('model')
    model.backbone.arch = arch
    model.decode_head.in_channels = [DIMS[arch]] * 4
    if not reassociate:  # the order of evaluation of the release and of mmseg
        model.backbone.deferred_upsampling = False
        model.decode_head.reassociate = False
    return config


@pytest.mark.parametrize(
    ('arch', 'params', 'plain', 'gmac'),
    [
        ('b', 103.16, 178.1, 140.2),
        ('l', 327.43, 445.6, 398.3),
        ('h', 663.38, 831.2, 771.9),
    ],
)
@pytest.mark.parametrize('reassociate', [False, True])
def test_the_papers_figures(arch, params, plain, gmac, reassociate):
    model = TOOL.build_on_meta(_config(arch, reassociate))
    assert {p.device.type for p in model.parameters()} == {'meta'}
    parts = TOOL.count(model, 512, 512)
    total = sum(part.params for part in parts)
    assert total == sum(p.numel() for p in model.parameters())
    assert round(total / 1e6, 2) == params
    found = sum(part.macs for part in parts) / 1e9
    if not reassociate:
        assert round(found, 1) == plain
        return
    dims = DIMS[arch]
    products = 2 * 4 * 256 * dims**2 / 1e9  # of weights, once a step
    assert round(found - products, 1) == gmac


def test_parts_follow_closed_forms():
    model = TOOL.build_on_meta(_config('b', reassociate=False))
    parts = {part.name: part for part in TOOL.count(model, 512, 512)}
    assert list(parts) == [
        'backbone: linear maps',
        'backbone: attention core',
        'backbone: feature pyramid',
        'decode_head',
    ]
    tokens, dims, layers = 1024, 768, 12
    linear = tokens * dims * (768 + layers * 12 * dims)
    assert parts['backbone: linear maps'].macs == linear
    assert parts['backbone: attention core'].macs == layers * 2 * tokens**2 * dims
    pyramid = (tokens + 4 * tokens + tokens) * 4 * dims**2
    assert parts['backbone: feature pyramid'].macs == pyramid
    assert parts['backbone: feature pyramid'].params == 3 * (4 * dims**2 + dims) + (
        2 * dims
    )


@pytest.mark.parametrize(
    ('arch', 'separate', 'in_batch'),
    [('b', 26.95, 23.6), ('l', 76.5, 67.0), ('h', 148.3, 130.0)],
)
def test_an_iteration_costs_no_more_than_it_must(arch, separate, in_batch):
    config = Config.fromfile(ROOT / f'configs/s4p/vit-{arch}_rs4p1m.py')
    with TOOL.torch.device('meta'):
        model = TOOL.MODELS.build(config.model)
    for partners, limit in ((12, separate), (0, in_batch)):
        flops = TOOL.count_iteration(model, 12, 12, partners, 512) / 1e12
        assert 0.98 * limit < flops <= 1.005 * limit


@pytest.mark.parametrize('classes', [5, 7, 9, 16])
def test_the_closed_form_of_parameters(classes):
    config = _config('b')
    config.model.decode_head.num_classes = classes
    model = TOOL.build_on_meta(config)
    dims, layers, positions = 768, 12, 1024
    vit = 769 * dims + positions * dims + layers * (12 * dims**2 + 13 * dims)
    vit += 3 * (4 * dims**2 + dims) + 2 * dims
    uper = 7 * (256 * dims + 512) + (dims + 1024) * 2304 + 512
    uper += 3 * (589824 + 512) + 2359296 + 512
    total = sum(p.numel() for p in model.parameters())
    assert total == vit + uper + 257 * classes


def test_attention_grows_with_the_square_of_the_tokens():
    model = TOOL.build_on_meta(_config('b'))
    small, large = (TOOL.count(model, side, 512) for side in (512, 1024))
    interpolation = 768 * (64 * 32 * 32 + 64 * 32 * 32)  # rows, then columns
    assert large[0].macs == 2 * small[0].macs + interpolation
    assert large[1].macs == 4 * small[1].macs


def test_the_command_prints_the_table(capsys):
    TOOL.main([str(CONFIG), '--shape', '512', '512'])
    out = capsys.readouterr().out
    assert '103.16     141.4' in out
    assert '0.283 TFLOP' in out


def test_a_data_set_costs_what_a_dense_model_costs(capsys):
    path = ROOT / 'configs/finetune_seg/moe-mdf_vit-b.py'
    TOOL.main([str(path), '--dataset', 'potsdam'])
    out = capsys.readouterr().out
    assert '160.40     141.4' in out
    with pytest.raises(ValueError, match='moon: the model has .*vaihingen'):
        TOOL.main([str(path), '--dataset', 'moon'])


def test_a_detector_is_no_segmentor():
    config = ROOT / 'configs/finetune_det/orcnn_vit-b_diorr.py'
    with pytest.raises(ValueError, match='is a detector'):
        TOOL.main([str(config)])
