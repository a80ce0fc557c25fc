"""transformers' ViTs: query, key and value apart, under names of its own."""

import pytest
import torch
import torch.nn.functional as F

from s5_mm.checkpoints import CheckpointError, convert, find_format, load_into
from s5_mm.models.backbones import ViT

from ..test_loading import _segmentor

ARCH = dict(embed_dims=12, num_layers=4, num_heads=2, out_indices=(3,))
HEADS, DIMS, EPS = 2, 12, 1e-12
# transformers 5.24.0, of files and of models in memory: below a layer.
IN_FILES = {
    'layer': 'encoder.layer.{}.',
    'query': 'attention.attention.query',
    'key': 'attention.attention.key',
    'value': 'attention.attention.value',
    'out': 'attention.output.dense',
    'up': 'intermediate.dense',
    'down': 'output.dense',
}
IN_MEMORY = {
    'layer': 'layers.{}.',
    'query': 'attention.q_proj',
    'key': 'attention.k_proj',
    'value': 'attention.v_proj',
    'out': 'attention.o_proj',
    'up': 'mlp.fc1',
    'down': 'mlp.fc2',
}
NORMS = {'before': 'layernorm_before', 'after': 'layernorm_after'}


def _state(names=IN_FILES, root='', cls_token=True, extra=()):
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(*shape, generator=generator) / 4

    state = {
        'embeddings.position_embeddings': draw(1, 16 + cls_token, DIMS),
        'embeddings.patch_embeddings.projection.weight': draw(DIMS, 3, 16, 16) / 8,
        'embeddings.patch_embeddings.projection.bias': draw(DIMS),
        'layernorm.weight': draw(DIMS) + 1,
        'layernorm.bias': draw(DIMS),
    }
    if cls_token:
        state['embeddings.cls_token'] = draw(1, 1, DIMS)
    for index in range(4):
        start = names['layer'].format(index)
        for part in ('query', 'key', 'value', 'out', 'up', 'down'):
            rows, columns = {'up': (48, DIMS), 'down': (DIMS, 48)}.get(
                part, (DIMS, DIMS)
            )
            state[f'{start}{names[part]}.weight'] = draw(rows, columns)
            state[f'{start}{names[part]}.bias'] = draw(rows)
        for norm in NORMS.values():
            state[f'{start}{norm}.weight'] = draw(DIMS) + 1
            state[f'{start}{norm}.bias'] = draw(DIMS)
    state = {root + name: value for name, value in state.items()}
    return state | dict.fromkeys(extra, torch.zeros(2))


def _equations(state, images, names=IN_FILES, root=''):
    """ViTModel, written down from its definition; tokens after the last norm."""

    def linear(name, x):
        return x @ state[f'{name}.weight'].T + state[f'{name}.bias']

    def norm(name, x):
        weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
        return F.layer_norm(x, (DIMS,), weight, bias, EPS)

    own = f'{root}embeddings.'
    x = F.conv2d(
        images,
        state[f'{own}patch_embeddings.projection.weight'],
        state[f'{own}patch_embeddings.projection.bias'],
        stride=16,
    )
    x = x.flatten(2).transpose(1, 2)
    if f'{own}cls_token' in state:
        x = torch.cat([state[f'{own}cls_token'].expand(len(x), 1, DIMS), x], 1)
    x = x + state[f'{own}position_embeddings']
    for index in range(4):
        start = root + names['layer'].format(index)
        y = norm(f'{start}layernorm_before', x)
        heads = []
        for head in range(HEADS):
            rows = slice(head * DIMS // HEADS, (head + 1) * DIMS // HEADS)
            q, k, v = (
                linear(start + names[part], y)[..., rows]
                for part in ('query', 'key', 'value')
            )
            scores = q @ k.transpose(1, 2) / (DIMS / HEADS) ** 0.5
            heads.append(scores.softmax(-1) @ v)
        x = x + linear(start + names['out'], torch.cat(heads, -1))
        y = linear(start + names['up'], norm(f'{start}layernorm_after', x))
        x = x + linear(start + names['down'], F.gelu(y))
    return norm(f'{root}layernorm', x)


@pytest.mark.parametrize('cls_token', [True, False])
@pytest.mark.parametrize('root', ['', 'vit.'])
@pytest.mark.parametrize('names', [IN_FILES, IN_MEMORY], ids=['files', 'memory'])
def test_the_features_are_those_of_the_original(names, root, cls_token):
    state = _state(names, root, cls_token)
    assert find_format(state).name == 'huggingface'
    model = ViT(
        ARCH,
        img_size=64,
        with_cls_token=cls_token,
        with_fpn=False,
        final_norm=True,
        norm_eps=EPS,
    )
    report = load_into(model.double().eval(), state, 'model.safetensors')
    assert report.missing == report.not_used == []
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected = _equations(
        {name: value.double() for name, value in state.items()}, images, names, root
    )
    with torch.no_grad():
        (found,) = model(images)
    torch.testing.assert_close(
        found.flatten(2).transpose(1, 2),
        expected[:, int(cls_token) :],
        # The slot of the class token is added to it in the file's fp32.
        rtol=0,
        atol=1e-6 if cls_token else 1e-12,
    )


def test_heads_pooler_and_the_decoder_of_mae_are_left_out():
    extra = [
        'decoder.mask_token',
        'decoder.decoder_layers.0.attention.q_proj.weight',
        'vit.pooler.dense.weight',
        'classifier.weight',
    ]
    converted = convert(_state(root='vit.', extra=extra))
    assert set(converted.unused) == set(extra)
    assert len(converted.state) == 4 * 12 + 6
    model = ViT(ARCH, img_size=64, with_fpn=False)
    assert set(extra) <= set(
        load_into(model, _state(root='vit.', extra=extra), 'mae.bin').not_used
    )


def test_segmentors_and_their_wrappers_take_it():
    state = _state()
    model = _segmentor()
    load_into(model, state, 'vit.safetensors')
    joined = [
        state[f'encoder.layer.2.attention.attention.{part}.weight']
        for part in ('query', 'key', 'value')
    ]
    weight = model.backbone.layers[2].attn.attn.in_proj_weight
    assert torch.equal(weight, torch.cat(joined))


@pytest.mark.parametrize(
    ('extra', 'text'),
    [
        (
            ['encoder.layer.0.layer_scale1.lambda1', 'embeddings.mask_token'],
            'weights of DINOv2, with LayerScale (encoder.layer.0.layer_scale1.lambda1)',
        ),
        (
            ['embeddings.register_tokens'],
            'weights with register tokens (embeddings.register_tokens)',
        ),
        (
            ['encoder.layer.0.lambda_1'],
            'weights of BEiT, with LayerScale (encoder.layer.0.lambda_1)',
        ),
        (
            ['embeddings.distillation_token'],
            'weights of distilled DeiT, with a distillation token '
            '(embeddings.distillation_token)',
        ),
    ],
)
def test_other_models_of_transformers_are_refused(extra, text):
    model = ViT(ARCH, img_size=64, with_fpn=False)
    with pytest.raises(CheckpointError) as caught:
        load_into(model, _state(extra=extra), 'other.bin')
    assert str(caught.value).startswith(f'other.bin: {text}; ViT has no such')
