"""The release's networks as functions of its checkpoints, written from its equations.

Names and shapes are those of its files; nothing of the package under test is used.
"""

import torch
import torch.nn.functional as F

WIDTH, DEPTH, HEADS, PART, HIDDEN = 24, 4, 2, 6, 96
CHANNELS, GRID, SIZE = 8, 4, 64
SCALES = (1, 2, 3, 6)


class Draw:
    """Random weights under given names."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.state = {}

    def __call__(self, name, *shape, around=0.0):
        size = 0.5 / max(shape[1], 1) ** 0.5 if len(shape) > 1 else 0.2
        noise = torch.randn(*shape, generator=self.generator, dtype=torch.float64)
        self.state[name] = around + size * noise

    def affine(self, name, *shape):
        self(f'{name}.weight', *shape)
        self(f'{name}.bias', shape[0])

    def norm(self, name, width=WIDTH):
        self(f'{name}.weight', width, around=1.0)
        self(f'{name}.bias', width)

    def conv_module(self, name, out, inside, kernel):
        self(f'{name}.conv.weight', out, inside, kernel, kernel)
        self.norm(f'{name}.bn', out)
        self(f'{name}.bn.running_mean', out)
        self(f'{name}.bn.running_var', out, around=1.5)
        self.state[f'{name}.bn.running_var'].abs_()
        self.state[f'{name}.bn.num_batches_tracked'] = torch.tensor(7)

    def vit(self, prefix, experts=0):
        self(f'{prefix}cls_token', 1, 1, WIDTH)
        self(f'{prefix}pos_embed', 1, GRID * GRID, WIDTH)
        self.affine(f'{prefix}patch_embed.projection', WIDTH, 3, 16, 16)
        for i in range(DEPTH):
            layer = f'{prefix}layers.{i}'
            self.norm(f'{layer}.ln1')
            self(f'{layer}.attn.attn.in_proj_weight', 3 * WIDTH, WIDTH)
            self(f'{layer}.attn.attn.in_proj_bias', 3 * WIDTH)
            self.affine(f'{layer}.attn.attn.out_proj', WIDTH, WIDTH)
            self.norm(f'{layer}.ln2')
            self.affine(f'{layer}.ffn.layers.0.0', HIDDEN, WIDTH)
            shared = WIDTH - PART if experts else WIDTH
            self.affine(f'{layer}.ffn.layers.1', shared, HIDDEN)
            for t in range(experts):
                self.affine(f'{layer}.ffn.experts.{t}', PART, HIDDEN)
        for name in ('fpn1.0', 'fpn1.3', 'fpn2.0'):
            self.affine(f'{prefix}{name}', WIDTH, WIDTH, 2, 2)
        self.norm(f'{prefix}fpn1.1.ln')

    def decoder(self, prefix):
        for i in range(4):
            self.conv_module(f'{prefix}psp_modules.{i}.1', CHANNELS, WIDTH, 1)
        inside = WIDTH + 4 * CHANNELS
        self.conv_module(f'{prefix}bottleneck', CHANNELS, inside, 3)
        for i in range(3):
            self.conv_module(f'{prefix}lateral_convs.{i}', CHANNELS, WIDTH, 1)
            self.conv_module(f'{prefix}fpn_convs.{i}', CHANNELS, CHANNELS, 3)
        self.conv_module(f'{prefix}fpn_bottleneck', CHANNELS, 4 * CHANNELS, 3)
        self.affine(f'{prefix}conv_seg', 1, CHANNELS, 1, 1)  # the dummy

    def head(self, name, classes):
        self.affine(f'{name}.1', classes, CHANNELS, 1, 1)


def upernet(seed=0, classes=16):
    """``*_s4p_upernet.pth``."""
    draw = Draw(seed)
    draw.vit('module.encoder.')
    draw.decoder('module.semsegdecoder.decode_head.')
    draw.head('module.semseghead', classes)
    return draw.state


def several(seed=0, experts=4):
    """``s5_vit_*_moe_mdf.pth``."""
    draw = Draw(seed)
    draw.vit('module.encoder.', experts)
    for suffix in ('', '_potsdam', '_OpenEarthMap', '_loveda'):
        draw.decoder(f'module.semsegdecoder{suffix}.decode_head.')
    heads = dict(vaihingen=5, potsdam=5, OpenEarthMap=9, loveda=7)
    for name, classes in heads.items():
        draw.head(f'module.semseghead_{name}', classes)
    return draw.state


def detector(seed=0, experts=2):
    """MoE-MDF Oriented R-CNN, heads as narrow as the toy detector's."""
    draw = Draw(seed)
    draw.vit('backbone.', experts)
    for name, classes in dict(dior=20, dota=18).items():
        for i in range(4):
            draw.affine(f'neck_{name}.lateral_convs.{i}.conv', 32, WIDTH, 1, 1)
            draw.affine(f'neck_{name}.fpn_convs.{i}.conv', 32, 32, 3, 3)
        draw.affine(f'rpn_head_{name}.rpn_conv', 32, 32, 3, 3)
        draw.affine(f'rpn_head_{name}.rpn_cls', 3, 32, 1, 1)
        draw.affine(f'rpn_head_{name}.rpn_reg', 18, 32, 1, 1)
        head = f'roi_head_{name}.bbox_head.'
        draw.affine(f'{head}shared_fcs.0', 64, 32 * 49)
        draw.affine(f'{head}shared_fcs.1', 64, 64)
        draw.affine(f'{head}fc_cls', classes + 1, 64)
        draw.affine(f'{head}fc_reg', 5, 64)
    return draw.state


def features(state, images, prefix, expert=None, eps=1e-5):
    """Four maps of the release's ViT, (N, C, H / s, W / s)."""

    def affine(x, name):
        return x @ state[f'{name}.weight'].T + state[f'{name}.bias']

    def norm(x, name, eps=eps):
        mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
        scaled = (x - mean) / (var + eps).sqrt()
        return scaled * state[f'{name}.weight'] + state[f'{name}.bias']

    def up(x, name):
        name = prefix + name
        return F.conv_transpose2d(
            x, state[f'{name}.weight'], state[f'{name}.bias'], stride=2
        )

    name = f'{prefix}patch_embed.projection'
    x = F.conv2d(images, state[f'{name}.weight'], state[f'{name}.bias'], stride=16)
    rows, columns = x.shape[-2:]
    x = x.flatten(2).transpose(1, 2) + state[f'{prefix}pos_embed']
    taps = []
    for i in range(DEPTH):
        layer = f'{prefix}layers.{i}'
        attn = f'{layer}.attn.attn.'
        y = norm(x, f'{layer}.ln1')
        y = y @ state[f'{attn}in_proj_weight'].T + state[f'{attn}in_proj_bias']
        query, key, value = y.chunk(3, dim=-1)
        parts = []
        for head in range(HEADS):
            own = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            scores = query[..., own] @ key[..., own].transpose(1, 2)
            weights = (scores / (WIDTH // HEADS) ** 0.5).softmax(-1)
            parts.append(weights @ value[..., own])
        x = x + affine(torch.cat(parts, -1), f'{attn}out_proj')
        y = norm(x, f'{layer}.ln2')
        y = F.gelu(affine(y, f'{layer}.ffn.layers.0.0'))
        out = affine(y, f'{layer}.ffn.layers.1')
        if expert is not None:
            own = affine(y, f'{layer}.ffn.experts.{expert}')
            out = torch.cat([out, own], -1)
        x = x + out
        taps.append(x.transpose(1, 2).unflatten(2, (rows, columns)))
    fine = up(taps[0], 'fpn1.0').permute(0, 2, 3, 1)
    fine = norm(fine, f'{prefix}fpn1.1.ln', 1e-6).permute(0, 3, 1, 2)
    fine = up(F.gelu(fine), 'fpn1.3')
    return [fine, up(taps[1], 'fpn2.0'), taps[2], F.max_pool2d(taps[3], 2)]


def logits(state, maps, decoder, head, size):
    """Logits of the release's UPerNet at the size of the image."""

    def module(x, name, pad=0):
        name = f'{decoder}{name}'
        x = F.conv2d(x, state[f'{name}.conv.weight'], padding=pad)
        mean, var = state[f'{name}.bn.running_mean'], state[f'{name}.bn.running_var']
        scale = state[f'{name}.bn.weight'] / (var + 1e-5).sqrt()
        shift = state[f'{name}.bn.bias'] - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).relu()

    def resize(x, to):
        return F.interpolate(x, to, mode='bilinear', align_corners=False)

    top = maps[3]
    pooled = [
        resize(
            module(F.adaptive_avg_pool2d(top, s), f'psp_modules.{i}.1'), top.shape[2:]
        )
        for i, s in enumerate(SCALES)
    ]
    levels = [module(maps[i], f'lateral_convs.{i}') for i in range(3)]
    levels.append(module(torch.cat([top, *pooled], 1), 'bottleneck', 1))
    for i in (3, 2, 1):
        levels[i - 1] = levels[i - 1] + resize(levels[i], levels[i - 1].shape[2:])
    outs = [module(levels[i], f'fpn_convs.{i}', 1) for i in range(3)] + [levels[3]]
    outs = [resize(out, outs[0].shape[2:]) for out in outs]
    fused = module(torch.cat(outs, 1), 'fpn_bottleneck', 1)
    found = F.conv2d(fused, state[f'{head}.1.weight'], state[f'{head}.1.bias'])
    return F.interpolate(found, size, mode='bilinear', align_corners=True)
