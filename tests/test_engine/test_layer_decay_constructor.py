"""Layer-wise learning rates against a plain loop, wherever the backbone is."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import CosineAnnealingLR, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from s5_mm.engine.optimizers import LayerDecayOptimWrapperConstructor
from s5_mm.models.backbones import ViT
from s5_mm.registry import MODELS
from tests.test_models.toys import toy_segmentor

LR, WD, RATE, LAYERS = 1e-3, 0.05, 0.8, 4
ARCH = dict(embed_dims=16, num_layers=LAYERS, num_heads=2, mlp_ratio=2.0)
BACKBONE = dict(type='s5_mm.ViT', arch=ARCH, img_size=32, out_indices=[0, 1, 2, 3])


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def segmentor():
    cfg = toy_segmentor()
    cfg.backbone = ConfigDict(BACKBONE)
    cfg.decode_head.in_channels = 16
    return cfg


def fixmatch(**train_cfg):
    return MODELS.build(
        dict(type='s5_mm.FixMatch', segmentor=segmentor(), semi_train_cfg=train_cfg)
    )


class Wrapped(nn.Module):
    """Holds a model as DistributedDataParallel does."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def multi_dataset():
    cfg = segmentor()
    head = {k: v for k, v in cfg.decode_head.items() if k != 'num_classes'}
    return MODELS.build(
        dict(
            type='s5_mm.MultiDatasetSegmentor',
            backbone=dict(BACKBONE, type='s5_mm.ViTMoE', part_features=4),
            decode_head=head,
            datasets=dict(a=dict(num_classes=3), b=dict(num_classes=5)),
        )
    )


def build(model, optimizer=None, wrapper='OptimWrapper', **paramwise):
    paramwise.setdefault('layer_decay_rate', RATE)
    optimizer = optimizer or dict(type='AdamW', lr=LR, weight_decay=WD)
    return build_optim_wrapper(
        model,
        ConfigDict(
            type=wrapper,
            constructor='s5_mm.LayerDecayOptimWrapperConstructor',
            optimizer=optimizer,
            paramwise_cfg=paramwise,
        ),
    )


def by_name(wrapper, model):
    """The settings of every parameter in the optimizer."""
    names = {id(param): name for name, param in model.named_parameters()}
    return {
        names[id(param)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }


def expected(model, prefix):
    """The same from the names alone."""
    settings = {}
    for name, param in model.named_parameters():
        if not param.requires_grad:
            continue
        power, decay, local = 0, WD, name.removeprefix(prefix)
        if name.startswith(prefix):
            if local.startswith(('pos_embed', 'patch_embed')):
                power = LAYERS + 1
            elif local.startswith('layers.'):
                power = LAYERS - int(local.split('.')[1])
            if local == 'pos_embed':
                decay = 0.0
        settings[name] = (LR * RATE**power, decay)
    return settings


@pytest.mark.parametrize(
    ('make', 'prefix'),
    [
        (lambda: MODELS.build(segmentor()), 'backbone.'),
        (lambda: MODELS.build(BACKBONE), ''),
        (fixmatch, 'student.backbone.'),
        (lambda: fixmatch(ema_momentum=0.99), 'student.backbone.'),
        (lambda: Wrapped(fixmatch()), 'module.student.backbone.'),
        (lambda: Wrapped(Wrapped(fixmatch())), 'module.module.student.backbone.'),
        (multi_dataset, 'backbone.'),
    ],
    ids=['segmentor', 'backbone', 'fixmatch', 'teacher', 'ddp', 'ddp2', 'multi'],
)
def test_every_parameter(make, prefix):
    model = make()
    wrapper = build(model)
    wanted = expected(model, prefix)
    assert by_name(wrapper, model) == wanted
    assert len({lr for lr, _ in wanted.values()}) == LAYERS + 2
    groups = wrapper.optimizer.param_groups
    pairs = [(group['lr'], group['weight_decay']) for group in groups]
    assert len(set(pairs)) == len(pairs) == LAYERS + 3  # pos_embed has its own
    assert groups[0]['lr'] == wrapper.get_lr()['lr'][0] == LR
    assert wrapper.get_lr()['base_lr'] == [LR]


def test_groups_are_always_in_the_same_order():
    names = []
    for _ in range(2):
        model = fixmatch()
        wrapper = build(model, norm_decay_mult=0.0)
        names.append(list(by_name(wrapper, model)))
    assert names[0] == names[1]
    pairs = [(g['lr'], g['weight_decay']) for g in wrapper.optimizer.param_groups]
    assert pairs[:2] == [(LR, WD), (LR, 0.0)]
    assert len(set(pairs)) == len(pairs)


def test_a_rate_of_one_is_uniform():
    model = MODELS.build(segmentor())
    assert {lr for lr, _ in by_name(build(model, layer_decay_rate=1), model).values()}
    assert len(build(model, layer_decay_rate=1.0).optimizer.param_groups) == 2


def test_keys_of_the_host():
    model = MODELS.build(segmentor())
    custom = {
        'decode_head': dict(lr_mult=10.0, decay_mult=0.5),
        'layers.1.': dict(lr_mult=0.5),
        'layers.1.ln1': dict(lr=7e-4, weight_decay=0.3, betas=(0.5, 0.9)),
        'pos_embed': dict(decay_mult=2.0),
    }
    settings = dict(norm_decay_mult=0.0, bias_lr_mult=2.0, bias_decay_mult=0.1)
    wrapper = build(model, custom_keys=custom, **settings)
    found = by_name(wrapper, model)
    plain = expected(model, 'backbone.')
    for name, (lr, decay) in found.items():
        base_lr, base_decay = plain[name]
        norm = '.ln' in name or '.bn.' in name
        if name.startswith('decode_head'):
            wanted = 10 * LR, 0.5 * WD
        elif 'layers.1.ln1' in name:
            wanted = 7e-4, 0.3
        elif 'layers.1.' in name:
            wanted = 0.5 * base_lr, WD
        elif name == 'backbone.pos_embed':
            wanted = base_lr, 2 * WD
        elif norm:
            wanted = base_lr, 0.0
        elif name.rsplit('.')[-1] == 'bias':
            wanted = 2 * base_lr, 0.1 * WD
        else:
            wanted = base_lr, base_decay
        assert (lr, decay) == pytest.approx(wanted, rel=1e-12), name
    (special,) = (g for g in wrapper.optimizer.param_groups if g['lr'] == 7e-4)
    assert special['betas'] == (0.5, 0.9)
    # A custom key that says nothing about decay leaves the exemption alone.
    wrapper = build(model, custom_keys={'embed': dict(lr_mult=0.5)})
    lr, decay = by_name(wrapper, model)['backbone.pos_embed']
    assert (lr, decay) == (LR * 0.5 * RATE ** (LAYERS + 1), 0.0)


def test_optimizers_without_weight_decay_in_the_config():
    model = MODELS.build(segmentor())
    found = by_name(build(model, dict(type='AdamW', lr=LR)), model)
    assert found['backbone.pos_embed'][1] == 0.0
    assert {wd for name, (_, wd) in found.items() if 'pos' not in name} == {0.01}
    found = by_name(build(model, dict(type='SGD', lr=LR, momentum=0.9)), model)
    assert found['backbone.pos_embed'] == (LR * RATE ** (LAYERS + 1), 0)


def test_frozen_parameters_are_left_out():
    model = fixmatch(ema_momentum=0.9)
    model.student.backbone.patch_embed.requires_grad_(False)
    model.student.backbone.layers[0].requires_grad_(False)
    wrapper = build(model)
    found = by_name(wrapper, model)
    assert found == expected(model, 'student.backbone.')
    assert not any('teacher' in name or 'patch_embed' in name for name in found)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match='FixMatch: no parameter requires grad'):
        build(model)


def test_a_parameter_with_two_names():
    model = nn.ModuleDict(dict(net=MODELS.build(BACKBONE), a=nn.Linear(4, 4)))
    model['b'] = nn.Linear(4, 4)
    model['b'].weight = model['a'].weight
    with pytest.raises(ValueError, match=r'parameter a\.weight has several names'):
        build(model)
    wrapper = build(model, bypass_duplicate=True)
    assert list(by_name(wrapper, model)).count('a.weight') == 1
    assert sum(len(g['params']) for g in wrapper.optimizer.param_groups) == len(
        list(model.parameters())
    )


def test_of_nested_backbones_the_outer_one_decides():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = MODELS.build(BACKBONE)

        def get_layer_depth(self, name, prefix=''):
            assert name.startswith(prefix)
            return 1, 3

    model = nn.ModuleDict(dict(outer=Outer(), head=nn.Linear(1, 1)))
    found = by_name(build(model), model)
    assert {lr for name, (lr, _) in found.items() if 'outer' in name} == {LR * RATE}


def train(wrapper, model, steps, scheduler=None):
    """Take steps towards noise that depends on the number of the step alone."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        loss = 0.0
        for param in model.parameters():
            if param.requires_grad:
                noise = torch.randn(param.shape, generator=generator)
                loss = loss + ((param - noise) ** 2).sum()
        wrapper.update_params(loss)
        if scheduler is not None:
            scheduler.step()


def cosine(wrapper):
    return CosineAnnealingLR(wrapper, T_max=6, eta_min=0.0, by_epoch=False)


def test_optimizer_state_resumes():
    torch.manual_seed(0)
    model = MODELS.build(segmentor())
    twin = copy.deepcopy(model)
    straight, first = build(model), build(twin)
    train(straight, model, range(6), cosine(straight))
    scheduler = cosine(first)
    train(first, twin, range(2), scheduler)
    saved = copy.deepcopy((first.state_dict(), scheduler.state_dict()))
    second = build(twin)
    scheduler = cosine(second)
    second.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    assert second.get_lr() == first.get_lr()
    train(second, twin, range(2, 6), scheduler)
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)


def test_schedulers_scale_every_group():
    model = MODELS.build(segmentor())
    wrapper = build(model)
    before = wrapper.get_lr()['lr']
    train(wrapper, model, range(3), cosine(wrapper))
    assert wrapper.get_lr()['lr'] == pytest.approx([lr / 2 for lr in before])
    assert wrapper.get_lr()['base_lr'] == pytest.approx([LR / 2])


def test_our_wrapper_and_a_fused_optimizer():
    model = MODELS.build(segmentor())
    optimizer = dict(type='AdamW', lr=LR, weight_decay=WD, fused=True)
    wrapper = build(model, optimizer, 's5_mm.AmpOptimWrapper')
    train(wrapper, model, range(1))
    assert by_name(wrapper, model) == expected(model, 'backbone.')


def test_the_log_says_what_was_built(monkeypatch):
    model = fixmatch(ema_momentum=0.9)
    build(model)
    lines = []
    logger = MMLogger.get_current_instance()

    def handle(record):
        if record.levelno >= logging.INFO and logger.filter(record):
            lines.append(record.getMessage())

    monkeypatch.setattr(logger, 'handle', handle)
    build(model, norm_decay_mult=0.0)
    assert lines[0].startswith('lr 0.001, weight decay 0.05: ')
    # One line a group, neither single parameters nor the teacher's.
    assert len(lines) == 2 * (LAYERS + 2) + 1
    assert (
        lines[-1]
        == f'left out as frozen: {len(list(model.teacher.parameters()))} tensors'
    )
    assert sum(int(line.split()[-2]) for line in lines[:-1]) == sum(
        p.numel() for p in model.student.parameters()
    )
    assert not logger.filters


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (
            dict(layer_decay_rate=0.0),
            'rate=0.0, expected above 0 and at most 1',
        ),
        (dict(layer_decay_rate=1.1), 'layer_decay_rate=1.1'),
        (dict(layer_decay_rate=float('nan')), 'layer_decay_rate=nan'),
        (dict(layer_decay_rate='0.9'), "layer_decay_rate='0.9'"),
        (dict(layer_decay_rate=None), 'layer_decay_rate=None'),
        (dict(num_layers=12), r"unknown keys \['num_layers'\]; allowed are .*'layer_d"),
        (dict(custom_keys={'norm': {}}), "custom_keys: 'norm' is part of no name"),
        (
            dict(custom_keys={'bias': dict(decay_multi=0.0)}),
            r"fields \['decay_multi'\], which neither mmengine nor AdamW knows",
        ),
    ],
)
def test_errors(paramwise, message):
    with pytest.raises(ValueError, match=message):
        build(MODELS.build(segmentor()), **paramwise)


def test_what_cannot_be_scaled():
    with pytest.raises(ValueError, match='no module of Linear has get_layer_depth'):
        build(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='optimizer has no lr'):
        build(MODELS.build(segmentor()), dict(type='AdamW'))
    with pytest.raises(ValueError, match='layer_decay_rate=None'):
        LayerDecayOptimWrapperConstructor(dict(optimizer=dict(type='SGD', lr=1.0)))


def test_a_real_backbone_has_few_groups():
    with torch.device('meta'):
        model = ViT('b')
    assert len(build(model, layer_decay_rate=0.9).optimizer.param_groups) == 15
    wrapper = build(model, layer_decay_rate=0.9, norm_decay_mult=0.0)
    assert len(wrapper.optimizer.param_groups) < 30 < len(list(model.parameters()))
