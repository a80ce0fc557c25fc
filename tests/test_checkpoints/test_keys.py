"""Names of every origin become ours."""

import pytest

from s5_mm.checkpoints import rename_vit_key, summarise_keys, to_segmentor_names

OURS = [
    'pos_embed',
    'patch_embed.projection.weight',
    'layers.11.ln1.weight',
    'layers.11.attn.attn.in_proj_weight',
    'layers.11.attn.attn.in_proj_bias',
    'layers.11.attn.attn.out_proj.bias',
    'layers.11.ln2.bias',
    'layers.11.ffn.layers.0.0.weight',
    'layers.11.ffn.layers.1.bias',
]
TIMM = [
    'pos_embed',
    'patch_embed.proj.weight',
    'blocks.11.norm1.weight',
    'blocks.11.attn.qkv.weight',
    'blocks.11.attn.qkv.bias',
    'blocks.11.attn.proj.bias',
    'blocks.11.norm2.bias',
    'blocks.11.mlp.fc1.weight',
    'blocks.11.mlp.fc2.bias',
]
MMPRETRAIN = [
    name.replace('attn.attn.in_proj_', 'attn.qkv.').replace('attn.attn.out_', 'attn.')
    for name in OURS
]
HEAD = ['decode_head.conv_seg.weight', 'decode_head.fpn_convs.0.conv.weight']


@pytest.mark.parametrize('theirs', [OURS, TIMM, MMPRETRAIN])
def test_names_of_a_vit(theirs):
    assert [rename_vit_key(name) for name in theirs] == OURS


def test_final_norm_of_timm_and_mmseg_is_ln():
    assert rename_vit_key('norm.weight') == rename_vit_key('ln1.weight') == 'ln.weight'


@pytest.mark.parametrize(
    'prefix',
    ['', 'module.', 'encoder.', 'module.encoder.', 'backbone.', 'student.backbone.']
    + ['_orig_mod.', 'module._orig_mod.', 'visual.trunk.'],
)
@pytest.mark.parametrize('theirs', [OURS, TIMM, MMPRETRAIN])
def test_every_prefix_ends_under_backbone(prefix, theirs):
    names = to_segmentor_names(prefix + name for name in theirs)
    assert list(names.values()) == [f'backbone.{name}' for name in OURS]


def test_of_student_and_teacher_the_student_is_taken():
    theirs = [f'{who}.backbone.{n}' for who in ('teacher', 'student') for n in OURS]
    names = to_segmentor_names([*theirs, *(f'student.{name}' for name in HEAD)])
    for old, new in names.items():
        expected = old if old.startswith('teacher') else old.removeprefix('student.')
        assert new == expected


def test_names_without_a_vit_stay():
    names = ['stem.weight', 'decode_head.conv_seg.bias']
    assert to_segmentor_names(names) == dict(zip(names, names, strict=True))


def test_summary_covers_every_name_briefly():
    names = [f'decoder_blocks.{i}.norm1.weight' for i in (0, 1, 2, 5)]
    names += ['mask_token', 'blocks.3.x']
    assert summarise_keys(names) == (
        'decoder_blocks.{0..2,5}.norm1.weight, mask_token, blocks.3.x'
    )
