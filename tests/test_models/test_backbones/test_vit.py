"""What a user of the backbone leans on."""

import copy

import pytest
import torch
from torch import nn

from s5_mm.models.backbones import ARCHS, ViT
from s5_mm.registry import MODELS

TINY = dict(embed_dims=16, num_layers=4, num_heads=2)


def _tiny(**kwargs):
    torch.manual_seed(0)
    defaults = dict(arch=TINY, img_size=64, patch_size=16, drop_path_rate=0.0)
    return ViT(**(defaults | kwargs))


def _image(height=64, width=64, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=generator)


def test_it_is_built_from_a_config():
    assert isinstance(MODELS.build(dict(type='s5_mm.ViT', arch=TINY)), ViT)


@pytest.mark.parametrize('arch', sorted(ARCHS))
def test_every_architecture_gives_strides_4_8_16_32(arch):
    with torch.device('meta'):
        maps = ViT(arch)(torch.empty(1, 3, 512, 512))
    dims = ARCHS[arch].embed_dims
    assert [tuple(m.shape) for m in maps] == [
        (1, dims, side, side) for side in (128, 64, 32, 16)
    ]


def test_keys_are_those_of_the_release():
    keys = set(_tiny().state_dict())
    layer = ['ln1', 'ln2', 'attn.attn.out_proj', 'ffn.layers.0.0', 'ffn.layers.1']
    names = [f'layers.{i}.{part}' for i in range(4) for part in layer]
    names += ['patch_embed.projection', 'fpn1.0', 'fpn1.1.ln', 'fpn1.3', 'fpn2.0']
    expected = {f'{name}.{kind}' for name in names for kind in ('weight', 'bias')}
    for i in range(4):
        expected |= {f'layers.{i}.attn.attn.in_proj_{k}' for k in ('weight', 'bias')}
    assert keys == expected | {'pos_embed'}
    assert _tiny().pos_embed.shape == (1, 16, 16)
    extra = set(_tiny(with_cls_token=True, final_norm=True).state_dict()) - keys
    assert extra == {'cls_token', 'ln.weight', 'ln.bias'}


@pytest.mark.parametrize(
    'size', [(64, 64), (128, 96), (32, 160), (48, 80), (70, 45), (513, 33)]
)
def test_maps_of_any_size_are_those_of_a_convolutional_backbone(size):
    maps = _tiny()(_image(*size))
    for tap, stride in zip(maps[:3], (4, 8, 16), strict=True):
        assert tap.shape[2:] == tuple(-(-side // stride) for side in size)
    assert maps[3].shape[2:] == tuple(side // 2 for side in maps[2].shape[2:])


@pytest.mark.parametrize('with_fpn', [True, False])
def test_maps_for_other_heads_are_contiguous(with_fpn):
    """mmcv's RoI operators read the memory of maps whatever their layout is."""
    model = _tiny(with_fpn=with_fpn)
    assert all(level.is_contiguous() for level in model(_image()))


def test_padding_does_not_reach_beyond_zeros():
    model, x = _tiny().eval(), _image(64, 64)
    x[..., 60:, :] = 0
    cut = model(x[..., :60, :])
    for a, b in zip(cut, model(x), strict=True):
        torch.testing.assert_close(a, b[..., : a.shape[2], :])


def test_position_embedding_is_interpolated_per_size():
    model = _tiny(with_fpn=False)
    for layer in model.layers:  # what is left is patch embedding plus position
        nn.init.zeros_(layer.attn.attn.out_proj.weight)
        nn.init.zeros_(layer.ffn.layers[1].weight)
        nn.init.zeros_(layer.attn.attn.out_proj.bias)
        nn.init.zeros_(layer.ffn.layers[1].bias)
    x = _image(96, 32, batch=1)
    grid = model.pos_embed.reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
    position = nn.functional.interpolate(grid, (6, 2), mode='bicubic')
    expected = model.patch_embed.projection(x) + position
    torch.testing.assert_close(model(x)[-1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_recomputation_changes_nothing(training):
    plain, recomputed = _tiny(drop_path_rate=0.5), _tiny(drop_path_rate=0.5)
    recomputed.set_grad_checkpointing()
    assert recomputed.with_cp
    gradients = []
    for model in (plain, recomputed):
        model.train(training)
        torch.manual_seed(3)
        out = model(_image())
        sum(m.square().mean() for m in out).backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_recomputation_stores_less():
    def stored(model):
        sizes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.append(t.numel()) or t, lambda t: t
        )
        with hooks:
            model.forward_intermediates(_image())
        return sum(sizes)

    assert stored(_tiny(with_cp=True)) < 0.5 * stored(_tiny())


def test_drop_path_grows_linearly_on_the_feed_forward_branch():
    layers = _tiny(drop_path_rate=0.3).layers
    rates = [layer.drop_path_ffn.drop_prob for layer in layers]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    assert all(layer.drop_path_attn.drop_prob == 0 for layer in layers)
    layers = _tiny(drop_path_rate=0.3, drop_path_attn=True).layers
    rates = [layer.drop_path_attn.drop_prob for layer in layers]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_norm_eps_reaches_every_norm_but_the_pyramids():
    model = _tiny(norm_eps=1e-5, final_norm=True)
    eps = {n: m.eps for n, m in model.named_modules() if isinstance(m, nn.LayerNorm)}
    assert eps.pop('fpn1.1.ln') == 1e-6
    assert len(eps) == 9
    assert set(eps.values()) == {1e-5}


def test_final_norm_acts_on_the_last_layer_only():
    model, x = _tiny(final_norm=True, with_fpn=False), _image()
    bare = _tiny(with_fpn=False)
    bare.load_state_dict(model.state_dict(), strict=False)
    normed, plain = model(x), bare(x)
    for a, b in zip(normed[:3], plain[:3], strict=True):
        torch.testing.assert_close(a, b)
    expected = model.ln(plain[3].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(normed[3], expected)


def test_intermediates_stop_at_the_last_layer_asked_for():
    model, x = _tiny(), _image()
    calls = []
    model.layers[3].register_forward_hook(lambda *_: calls.append(3))
    taps = model.forward_intermediates(x, indices=[0, 2])
    assert [tuple(tap.shape) for tap in taps] == [(2, 16, 4, 4)] * 2
    assert not calls


def test_compiles_without_a_graph_break_at_two_sizes():
    model = _tiny(drop_path_rate=0.1)
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend='eager')
    for size in ((64, 64), (96, 80)):
        with torch.no_grad():
            model.eval()
            for a, b in zip(compiled(_image(*size)), model(_image(*size)), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    model.train()
    sum(m.mean() for m in compiled(_image())).backward()
    assert model.pos_embed.grad is not None


def test_every_parameter_gets_a_gradient():
    model = _tiny(with_cls_token=True, final_norm=True)
    sum(m.square().mean() for m in model(_image(96, 64))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_copies_are_independent():
    model = _tiny()
    model(_image(96, 64))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.pos_embed.add_(1)
    out = twin(_image(96, 64))[2]
    assert not torch.allclose(out, model(_image(96, 64))[2])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_residual_stream_and_gradients_in_fp32(dtype):
    model, x = _tiny(drop_path_rate=0.1), _image(96, 64)
    expected = model.eval()(x)
    with torch.autocast('cpu', dtype):
        maps = model(x)
    assert {tap.dtype for tap in maps[2:]} == {torch.float32}
    for a, b in zip(maps, expected, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=0.05, atol=0.05)
    sum(tap.float().mean() for tap in maps).backward()
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_init_weights_draws_as_stated():
    model = _tiny(arch='t', img_size=128)
    model.init_weights()
    assert model.is_init
    for name, parameter in model.named_parameters():
        if name.startswith('layers') and name.endswith(('in_proj_weight', 'r.weight')):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1)
        elif '.ln' in name:
            assert torch.equal(parameter, torch.full_like(parameter, 'w' in name[-6:]))
        elif name.startswith('layers') and name.endswith('bias'):
            assert not parameter.any()
    weight = model.patch_embed.projection.weight
    bound = (6 / (192 + 768)) ** 0.5  # Xavier over the flattened patch
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert model.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)


def test_depth_of_parameters_for_layer_wise_learning_rates():
    model = _tiny(with_cls_token=True)
    depths = {}
    for name, _ in model.named_parameters():
        depth, total = model.get_layer_depth(f'backbone.{name}', 'backbone.')
        assert total == 6
        depths.setdefault(depth, []).append(name)
    assert set(depths) == {0, 1, 2, 3, 4, 5}
    assert all(n.startswith(('pos', 'cls', 'patch_embed')) for n in depths[0])
    assert all(n.startswith('layers.2.') for n in depths[3])
    assert all(n.startswith('fpn') for n in depths[5])
    assert model.get_layer_depth('decode_head.x', 'backbone.') == (5, 6)
    names = {name for name, _ in model.named_parameters()}
    assert model.no_weight_decay() <= names


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(img_size=70), 'img_size=70 must be whole patches of 16'),
        (dict(img_size=(64, 8)), r'img_size=\(64, 8\) must be whole patches'),
        (dict(out_indices=[1, 3]), r'out_indices=\[1, 3\] must name 4 layers'),
        (dict(patch_size=32), 'patch_size 4, 8 or 16, got 32'),
        (dict(arch='x'), "arch='x' is unknown"),
        (dict(drop_path_rate=1.5), 'drop_prob=1.0, expected at least 0 and'),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        _tiny(**kwargs)


def test_an_image_below_one_cell_is_refused():
    with pytest.raises(ValueError, match='16 x 64 pixels is smaller than one cell'):
        _tiny()(_image(16, 64))
