"""``frozen_stages``: what is frozen neither moves nor draws, and DDP is content."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from s5_mm.models import FixMatch, SemiBaseSegmentor
from s5_mm.registry import MODELS
from s5_mm.testing.toy import toy_backbone, toy_segmentor

from ...support.distributed import run_ranks
from ..test_segmentors.compiled import labelled_inputs

DEPTH = 4


def _vit(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(toy_backbone(drop_path_rate=0.5, **kwargs))


def _frozen_names(model):
    return {
        name.split('.')[0] + ('.' + name.split('.')[1] if 'layers' in name else '')
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad
    }


@pytest.mark.parametrize('stages', [-1, 0, 2, DEPTH])
@pytest.mark.parametrize('kind', ['s5_mm.ViT', 's5_mm.ViTMoE'])
def test_the_stages_that_are_frozen(kind, stages):
    more = dict(datasets=['a'], part_features=8) if kind == 's5_mm.ViTMoE' else {}
    model = _vit(type=kind, frozen_stages=stages, with_cls_token=True, **more)
    want = {'patch_embed', 'pos_embed', 'cls_token'} if stages >= 0 else set()
    want |= {f'layers.{index}' for index in range(stages)}
    assert _frozen_names(model) == want
    model.train()
    assert [layer.training for layer in model.layers] == [
        index >= stages for index in range(DEPTH)
    ]
    assert model.fpn1.training


def test_the_norm_behind_the_last_layer_is_frozen_with_it():
    model = _vit(frozen_stages=DEPTH, final_norm=True).train()
    assert not model.ln.weight.requires_grad
    assert _vit(frozen_stages=3, final_norm=True).ln.weight.requires_grad


@pytest.mark.parametrize('wrong', [-2, DEPTH + 1, 1.5])
def test_other_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=f'frozen_stages={wrong}, expected a whole'):
        _vit(frozen_stages=wrong)


def _segmentor(cls=SemiBaseSegmentor, **semi):
    torch.manual_seed(0)
    config = toy_segmentor(4)
    config['backbone'].update(drop_path_rate=0.9, frozen_stages=DEPTH)
    config['decode_head']['norm_cfg'] = dict(type='s5_mm.SyncBN')
    config['decode_head']['loss_decode']['avg_non_ignore'] = True
    model = cls(config, semi)
    model.init_weights()
    return model.train()


@pytest.mark.parametrize('recompute', [False, True])
def test_a_frozen_backbone_stays_what_it_is(recompute):
    """Decay, momentum and drop path included; head and pyramid are trained."""
    model = _segmentor(FixMatch, ema_momentum=0.5, burn_in=9)
    model.student.backbone.set_grad_checkpointing(recompute)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    first = model.student.backbone.forward_intermediates(labelled_inputs(0)[0]['sup'])
    for seed in range(2):
        losses = model.loss(*labelled_inputs(seed))
        optimizer.zero_grad()
        losses['loss_sup'].backward()
        optimizer.step()
    again = model.student.backbone.forward_intermediates(labelled_inputs(0)[0]['sup'])
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    moved = {
        name.split('.')[2]
        for name, parameter in model.student.named_parameters(prefix='student')
        if not torch.equal(parameter, before[name])
    }
    assert 'conv_seg' in moved
    assert 'fpn1' in moved
    assert not moved & {'layers', 'patch_embed', 'pos_embed'}


def _rank_gradients(rank, world):
    model = _segmentor()
    # Without find_unused_parameters.
    wrapped = DistributedDataParallel(model) if world > 1 else model
    for _ in range(2):  # the second step would report a parameter that was not used
        model.zero_grad()
        inputs, samples = labelled_inputs(0)
        part = slice(rank, rank + 1) if world > 1 else slice(None)
        losses = wrapped(
            dict(sup=inputs['sup'][part]), dict(sup=samples['sup'][part]), mode='loss'
        )
        losses['loss_sup'].backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_two_processes_equal_one_with_a_frozen_backbone(tmp_path):
    alone = _rank_gradients(0, 1)
    assert not any('layers' in name for name in alone)
    for rank in run_ranks(_rank_gradients, 2, tmp_path):
        assert rank.keys() == alone.keys()
        for name, gradient in alone.items():
            torch.testing.assert_close(rank[name], gradient, rtol=1e-3, atol=1e-4)
