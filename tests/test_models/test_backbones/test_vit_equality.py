"""On the same weights our ViT equals timm's and mmseg's, tap by tap."""

import pytest
import torch

from s5_mm.checkpoints import load_into
from s5_mm.models.backbones import ViT
from s5_mm.models.backbones.vit_arch import resolve_arch

SMALL = dict(embed_dims=96, num_layers=6, num_heads=3, out_indices=(1, 2, 4, 5))


def _randomised(model):
    """Give every parameter of a host's model something to be seen by."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 and name.endswith('weight'):
            torch.nn.init.normal_(parameter, 1.0, 0.2)
        elif parameter.ndim < 2 or name in ('pos_embed', 'cls_token'):
            torch.nn.init.normal_(parameter, 0.0, 0.2)
    model.eval()  # mmseg's returns nothing
    return model


def _close(ours, theirs):
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('cls_token', [False, True])
@pytest.mark.parametrize(('arch', 'size'), [(SMALL, 128), ('b', 256)])
def test_every_tap_equals_timms(arch, size, cls_token):
    timm = pytest.importorskip('timm.models.vision_transformer')
    sizes = resolve_arch(arch)
    theirs = _randomised(
        timm.VisionTransformer(
            img_size=size,
            patch_size=16,
            embed_dim=sizes.embed_dims,
            depth=sizes.num_layers,
            num_heads=sizes.num_heads,
            class_token=cls_token,
            global_pool='',
            num_classes=0,
        )
    )
    ours = ViT(arch, img_size=size, with_cls_token=cls_token, with_fpn=False).eval()
    report = load_into(ours, theirs.state_dict(), 'timm')
    assert report.missing == []
    assert report.not_used == ['norm.weight', 'norm.bias']
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        taps = theirs.forward_intermediates(
            x, indices=list(sizes.out_indices), norm=False, intermediates_only=True
        )
        _close(ours(x), taps)


@pytest.mark.parametrize('size', [(128, 128), (160, 96)])
@pytest.mark.parametrize('cls_token', [False, True])
def test_every_tap_equals_mmsegs(size, cls_token):
    mmseg = pytest.importorskip('mmseg.models.backbones')
    theirs = _randomised(
        mmseg.VisionTransformer(
            img_size=128,
            embed_dims=96,
            num_layers=6,
            num_heads=3,
            out_indices=(1, 2, 4, 5),
            with_cls_token=cls_token,
            patch_bias=True,
        )
    )
    ours = ViT(
        SMALL, img_size=128, with_cls_token=cls_token, with_fpn=False, norm_eps=1e-5
    ).eval()
    report = load_into(ours, theirs.state_dict(), 'mmseg')
    assert report.missing == []
    assert report.not_used == ([] if cls_token else ['cls_token'])
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        _close(ours(x), theirs(x))
