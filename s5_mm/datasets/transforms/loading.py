"""Load an image and its mask from files, in RGB and with clear errors."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from s5_mm.datasets.image_io import (
    AlphaPolicy,
    GreyPolicy,
    ImageError,
    read_image,
    read_mask,
)
from s5_mm.datasets.labels import rule_of
from s5_mm.registry import TRANSFORMS
from s5_mm.utils.randomness import keyed


@TRANSFORMS.register_module()
@keyed
class LoadImage(BaseTransform):
    """Load an 8-bit image, in RGB order.

    mmcv's ``LoadImageFromFile`` gives BGR, turns images by their EXIF tag, and hides
    palettes, 16 bits, alpha and grey; so the preprocessor behind this transform must
    not swap channels (``bgr_to_rgb=False``).

    Reads the file ``img_path`` or, where it is there, ``img_source``: a member of a
    shard or a window of a large image.  Adds ``img`` (uint8, shape (H, W, 3), RGB),
    ``img_shape`` and ``ori_shape`` (both (H, W)).

    Args:
        alpha: ``'error'``, or ``'drop'`` to accept an alpha channel and forget it.
        grey: ``'error'``, or ``'repeat'`` to accept greyscale images.

    Raises:
        ValueError: If an argument is none of these.
        ImageError: From :meth:`transform`, if the file cannot be used.
    """

    def __init__(
        self, alpha: AlphaPolicy = 'error', grey: GreyPolicy = 'error'
    ) -> None:
        if alpha not in ('error', 'drop'):
            raise ValueError(f"alpha={alpha!r}, allowed are 'error' and 'drop'")
        if grey not in ('error', 'repeat'):
            raise ValueError(f"grey={grey!r}, allowed are 'error' and 'repeat'")
        self.alpha, self.grey = alpha, grey

    def transform(self, results: dict) -> dict:
        """Load the image of ``results['img_source']`` or ``results['img_path']``."""
        source = results.get('img_source')
        if source is None:
            image = read_image(results['img_path'], self.alpha, self.grey)
        else:
            image = source.read_image(self.alpha, self.grey)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'LoadImage(alpha={self.alpha!r}, grey={self.grey!r})'


@TRANSFORMS.register_module()
@keyed
class LoadMask(BaseTransform):
    """Load a map of class ids and check it.

    Unlike mmseg's ``LoadAnnotations`` it refuses values outside the classes, masks of
    another size than the image, and files that cannot hold ids.

    Reads ``seg_map_path``, ``reduce_zero_label``, ``label_map``, ``num_classes``,
    ``ignore_index`` and ``ori_shape`` where they are there; adds ``gt_seg_map``
    (uint8, shape (H, W), class ids and 255) and appends its name to ``seg_fields``.

    Raises:
        ImageError: From :meth:`transform`, if the file cannot be used.
        ValueError: From :meth:`transform`, if the data set has no masks.
    """

    def transform(self, results: dict) -> dict:
        """Load the mask of ``results['seg_map_path']``."""
        path = results.get('seg_map_path')
        if path is None:
            # Not an ImageError: no other image of the data set would be better.
            raise ValueError(
                f'{results.get("img_path")}: the data set has no masks (no '
                "'seg_map_path' in the sample), but the pipeline has s5_mm.LoadMask; "
                'leave it out, or give data_prefix a seg_map_path'
            )
        mask = read_mask(path)
        expected = results.get('ori_shape')
        if expected is not None and mask.shape != tuple(expected[:2]):
            raise ImageError(
                path,
                f'mask of {mask.shape[1]}x{mask.shape[0]} px, its image '
                f'{results.get("img_path")} has {expected[1]}x{expected[0]} px',
            )
        try:
            labels = rule_of(results).apply(mask)
        except ValueError as error:
            raise ImageError(path, str(error)) from error
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return 'LoadMask()'
