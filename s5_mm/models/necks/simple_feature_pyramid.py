"""Four strides from the four taps of a plain ViT.

The modules are attributes ``fpn1`` to ``fpn4`` of the backbone, because that is where
the weights of MAE-style fine-tuning and of the official release keep them
(``fpn1.0``, ``fpn1.1.ln``, ``fpn1.3``, ``fpn2.0``).
"""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

from s5_mm.models.layers import PendingUpsample

STRIDES = (4, 8, 16, 32)


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of a map; its parameters are ``ln.{weight,bias}``.

    Args:
        num_channels: Channels C.
        eps: Epsilon, 1e-6 in the release whatever the ViT's own is.
    """

    def __init__(self, num_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(num_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) over C; free of copies for channels-last maps."""
        return self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _level(embed_dims: int, patch_size: int, stride: int) -> nn.Module:
    """Build the module that takes a tap from ``patch_size`` to ``stride``."""

    def double() -> nn.Module:
        return nn.ConvTranspose2d(embed_dims, embed_dims, kernel_size=2, stride=2)

    if stride == patch_size:
        return nn.Identity()
    if stride > patch_size:
        factor = stride // patch_size
        return nn.MaxPool2d(kernel_size=factor, stride=factor)
    if 2 * stride == patch_size:
        return nn.Sequential(double())
    return nn.Sequential(double(), LayerNorm2d(embed_dims), nn.GELU(), double())


def build_feature_pyramid(embed_dims: int, patch_size: int) -> tuple[nn.Module, ...]:
    """Build the simple feature pyramid (ViTDet's, in the form of MAE segmentation).

    For a patch of 16: two transposed convolutions, one, none, max-pooling by 2.
    Inputs in channels-last memory (what the tokens of a ViT are) stay so; measured on
    CPU, a transposed convolution takes 90 ms on it and 154 ms on the other layout.

    Args:
        embed_dims: Channels C of the taps and of every level.
        patch_size: Side of a patch in pixels: 4, 8 or 16.

    Returns:
        Four modules (N, C, H / patch, W / patch) -> (N, C, H / s, W / s) for s of
        4, 8, 16, 32; odd sides are floored by the pooling.

    Raises:
        ValueError: No chain of doublings and poolings leads from ``patch_size`` to all
            four strides.
    """
    if patch_size not in (4, 8, 16):
        raise ValueError(
            'the feature pyramid has strides 4, 8, 16, 32 and exists for patch_size '
            f'4, 8 or 16, got {patch_size}; with_fpn=False gives the bare taps'
        )
    return tuple(_level(embed_dims, patch_size, stride) for stride in STRIDES)


def crop_to_stride(x: Tensor, image_size: tuple[int, int], stride: int) -> Tensor:
    """Cut a map that covers a padded image to what covers the image.

    Args:
        x: (N, C, h, w) with h x stride >= H.
        image_size: H, W of the image in pixels, before padding to whole patches.
        stride: Pixels per cell.

    Returns:
        (N, C, ceil(H / stride), ceil(W / stride)) at most, the size that a
        convolutional backbone of that stride returns; a view.
    """
    height, width = (-(-side // stride) for side in image_size)
    return x[..., :height, :width]


def ends_in_upsampling(level: nn.Module) -> TypeGuard[nn.Sequential]:
    """Tell whether the last step of a level is a transposed convolution."""
    return isinstance(level, nn.Sequential) and isinstance(
        level[-1], nn.ConvTranspose2d
    )


def pending_level(
    level: nn.Sequential, tap: Tensor, image_size: tuple[int, int], stride: int
) -> PendingUpsample:
    """Run a level but for its last step.

    Args:
        level: Ends in a transposed convolution.
        tap: (N, C, h, w).
        image_size: H, W of the image in pixels.
        stride: Pixels per cell of the level.

    Returns:
        What stands for the level's map, cut to what covers the image.
    """
    last = level[-1]
    assert isinstance(last, nn.ConvTranspose2d)
    x = tap
    for step in list(level)[:-1]:
        x = step(x)
    size = (
        min(-(-side // stride), 2 * cells)
        for side, cells in zip(image_size, x.shape[-2:], strict=True)
    )
    return PendingUpsample(x, last, tuple(size))
