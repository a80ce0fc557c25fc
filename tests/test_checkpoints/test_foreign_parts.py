"""Weights of another network are refused by name; a plain ViT of any origin loads."""

import re

import pytest
import torch

from s5_mm.checkpoints import CheckpointError, convert, find_format, load_into
from s5_mm.models.backbones import ViT

from ..test_tools.test_convert_checkpoint import TOOL as CONVERTER
from .test_loading import _mae, _segmentor, _vit

timm = pytest.importorskip('timm')
# Name in timm: family, and what is named first of it.
REFUSED = {
    'vit_small_patch14_dinov2': (
        'DINOv2',
        'LayerScale (blocks.{0..1}.ls1.gamma, blocks.{0..1}.ls2.gamma)',
    ),
    'vit_small_patch14_reg4_dinov2': ('DINOv2', 'register tokens (reg_token)'),
    'vit_small_patch16_dinov3': ('DINOv3', 'register tokens (reg_token)'),
    'eva02_tiny_patch14_224': (
        'EVA',
        'biases of query and value alone (blocks.{0..1}.attn.q_bias, '
        'blocks.{0..1}.attn.v_bias)',
    ),
    'eva02_base_patch16_clip_224': (
        'EVA',
        'SwiGLU (blocks.{0..1}.mlp.fc1_g.weight, blocks.{0..1}.mlp.fc1_g.bias, '
        'blocks.{0..1}.mlp.fc1_x.weight, blocks.{0..1}.mlp.fc1_x.bias)',
    ),
    'beitv2_base_patch16_224': (
        'BEiT',
        'relative positions (blocks.{0..1}.attn.relative_position_bias_table)',
    ),
    'samvit_base_patch16': (
        'SAM',
        'relative positions (blocks.{0..1}.attn.rel_pos_h, '
        'blocks.{0..1}.attn.rel_pos_w)',
    ),
    'deit3_small_patch16_224': (
        'DeiT III',
        'LayerScale (blocks.{0..1}.ls1.gamma, blocks.{0..1}.ls2.gamma)',
    ),
    'deit_tiny_distilled_patch16_224': (
        'distilled DeiT',
        'a distillation token (dist_token)',
    ),
    'vit_base_patch16_clip_224': (
        'CLIP',
        'a norm before the first layer (norm_pre.weight, norm_pre.bias)',
    ),
    'vit_base_patch16_rope_224': (
        '',
        'LayerScale (blocks.{0..1}.gamma_1, blocks.{0..1}.gamma_2)',
    ),
    'vit_relpos_small_patch16_224': (
        '',
        'relative positions (blocks.{0..1}.attn.rel_pos.mlp.fc1.weight, '
        'blocks.{0..1}.attn.rel_pos.mlp.fc1.bias, '
        'blocks.{0..1}.attn.rel_pos.mlp.fc2.weight, '
        'blocks.{0..1}.attn.rel_pos.mlp.fc2.bias)',
    ),
    'vit_base_patch16_qknorm_test': ('', 'norms of queries and keys'),
    'vit_small_r26_s32_224': ('', 'parameters named patch_embed.backbone.stem'),
}


def _timms(name):
    if name == 'vit_base_patch16_qknorm_test':
        model = timm.models.vision_transformer.VisionTransformer
        return model(embed_dim=64, depth=2, num_heads=1, qk_norm=True, num_classes=0)
    small = dict(depth=2, embed_dim=64, num_heads=1)
    return timm.create_model(name, pretrained=False, **small)


@pytest.mark.parametrize('name', REFUSED)
def test_other_networks_are_refused_by_family_and_parts(name, tmp_path):
    state = _timms(name).state_dict()
    family, part = REFUSED[name]
    arch = dict(embed_dims=64, num_layers=2, num_heads=1, out_indices=(1,))
    model = ViT(arch, img_size=224, with_fpn=False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(model, {'model': state}, 'other.pth')
    text = str(caught.value)
    assert text.startswith(
        f'other.pth: weights of {family}, with ' if family else 'other.pth: weights w'
    )
    assert part in text
    assert text.endswith(
        '; ViT has no such parameters and would compute other features. Expected '
        'weights of the model that is configured, see docs/checkpoints.md, or a model '
        'with these parts'
    )
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    torch.save(state, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError) as stopped:
        CONVERTER.main([str(tmp_path / 'other.pth'), str(tmp_path / 'out.pth')])
    assert part in str(stopped.value)
    assert 'no model of this package computes them, so nothing was written' in str(
        stopped.value
    )
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    'name',
    [
        'vit_small_patch16_224',
        'vit_small_patch16_224.augreg_in21k',
        'deit_tiny_patch16_224',
        'vit_base_patch16_224.mae',
        'vit_base_patch16_siglip_224',
    ],
)
def test_plain_vits_load_and_compute_what_timm_does(name, tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, depth=2, num_classes=0)
    theirs = theirs.double().eval()
    state = theirs.state_dict()
    dims, classes = state['norm.weight'].shape[0], 'cls_token' in state
    model = ViT(
        dict(embed_dims=dims, num_layers=2, num_heads=dims // 64, out_indices=(1,)),
        img_size=224,
        with_fpn=False,
        with_cls_token=classes,
        final_norm=True,
    )
    model = model.double().eval()
    report = load_into(model, state, name)
    assert report.missing == []
    assert {key.split('.')[0] for key in report.not_used} <= {'attn_pool'}
    images = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs.forward_features(images)[:, int(classes) :]
        (found,) = model(images)
    torch.testing.assert_close(
        found.flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-11
    )
    torch.save(state, tmp_path / 'plain.pth')
    CONVERTER.main([str(tmp_path / 'plain.pth'), str(tmp_path / 'out.pth')])
    assert (tmp_path / 'out.pth').exists()


def test_swin_v2_is_refused(tmp_path):
    state = timm.create_model('swinv2_tiny_window8_256', embed_dim=12).state_dict()
    torch.save(state, tmp_path / 'v2.pth')
    with pytest.raises(
        CheckpointError,
        match=r'v2\.pth: weights of Swin V2, with cosine attention \(layers',
    ):
        CONVERTER.main([str(tmp_path / 'v2.pth'), str(tmp_path / 'out.pth')])


@pytest.mark.parametrize('kind', ['bare', 'segmentor'])
@pytest.mark.parametrize('mismatch', ['raise', 'skip'])
def test_more_layers_than_the_model_has_are_named(kind, mismatch):
    deep = _vit(arch=dict(embed_dims=12, num_layers=6, num_heads=2)).state_dict()
    model = _vit() if kind == 'bare' else _segmentor()
    with pytest.raises(
        CheckpointError,
        match=re.escape(
            'deep.pth: weights with parameters named layers.{4..5}.ln1.weight, '
            'layers.{4..5}.ln1.bias, layers.{4..5}.attn.attn.in_proj_weight, '
            'layers.{4..5}.attn.attn.in_proj_bias, ...; '
            f'{type(model).__name__} has no such parameters'
        ),
    ):
        load_into(model, deep, 'deep.pth', mismatch=mismatch)


def test_what_follows_the_layers_or_precedes_training_is_no_obstacle():
    state = _mae()
    names = (
        'head.weight',
        'head_dist.bias',
        'fc_norm.weight',
        'pre_logits.fc.weight',
        'decoder_norm.bias',
        'predictor.0.weight',
        'projector.weight',
        'lm_head.weight',
        'masked_embed',  # iBOT's name of the mask token
        'ln2.weight',  # mmpretrain's norm of the averaged features
        'prototypes.weight',
    )
    state |= dict.fromkeys(names, torch.zeros(2))
    report = load_into(_vit(), state, 'file.pth')
    assert set(names) <= set(report.not_used)


def test_what_a_host_computes_is_no_part():
    model = torch.nn.Module()
    model.backbone = torch.nn.Module()
    model.backbone.stages = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    state = model.state_dict() | {
        'backbone.stages.0.attn_mask': torch.zeros(2),
        'backbone.stages.0.relative_position_index': torch.zeros(2),
        'backbone.incre_modules.0.weight': torch.zeros(2),
        'neck.convs.4.weight': torch.zeros(2),
    }
    assert len(load_into(model, state, 'host.pth').not_used) == 4
    state['backbone.stages.0.gate.weight'] = torch.zeros(2)
    state['backbone.stages.1.weight'] = torch.zeros(2)
    with pytest.raises(
        CheckpointError,
        match=re.escape('named backbone.stages.0.gate.weight, backbone.stages.1.weig'),
    ):
        load_into(model, state, 'host.pth')


def test_files_of_our_own_models_are_converted_as_before():
    for model in (_vit(with_cls_token=True, final_norm=True), _segmentor()):
        state = model.state_dict()
        assert find_format(state).lacking(convert(state).state) == []
