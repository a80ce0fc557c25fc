"""Load an image and its mask from files, in RGB and with clear errors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from s5_mm.datasets.labels import rule_of
from s5_mm.io.images.header import ImageError, ImageHeader
from s5_mm.io.images.layout import AlphaPolicy, GreyPolicy, check_colours
from s5_mm.io.images.read import read_mask
from s5_mm.io.images.sample_depth import check_range
from s5_mm.io.images.source import ImageFile, ImageSource
from s5_mm.registry import TRANSFORMS
from s5_mm.utils.argument_checks import check_choice
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

    Pixels without data (no-data value, mask, alpha 0) are read as image; the first file
    with some is named in a warning, once per data set and process.

    Args:
        alpha: ``'error'``, or ``'drop'`` to accept an alpha channel and forget it.
        grey: ``'error'``, or ``'repeat'`` to accept greyscale images.
        sample_range: Samples that become 0 and 255 in images of 9 to 16 bits, such as
            (0, 2047) for 11 bits; those of 8 bits stay.  None refuses more than 8 bits.

    Raises:
        ValueError: If an argument is none of these.
        ImageError: From :meth:`transform`, if the file cannot be used.
    """

    def __init__(
        self,
        alpha: AlphaPolicy = 'error',
        grey: GreyPolicy = 'error',
        sample_range: Sequence[int] | None = None,
    ) -> None:
        self.alpha = check_choice('alpha', alpha, ('error', 'drop'))
        self.grey = check_choice('grey', grey, ('error', 'repeat'))
        self.sample_range = check_range(sample_range, 's5_mm.LoadImage')
        self._has_warned = False

    def transform(self, results: dict) -> dict:
        """Load the image of ``results['img_source']`` or ``results['img_path']``."""
        source = results.get('img_source') or ImageFile(results['img_path'])
        worker = get_worker_info()
        # Looking for pixels without data takes time; one worker does it for all.
        looks = not self._has_warned and (worker is None or worker.id == 0)
        note = self._warn if looks else None
        image = source.read_image(self.alpha, self.grey, self.sample_range, note)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def check_header(self, source: ImageSource) -> ImageHeader:
        """Read the header of an image and refuse what :meth:`transform` refuses.

        Args:
            source: The image.

        Returns:
            Its header.

        Raises:
            ImageError: If it cannot be read or is refused.
        """
        header = source.read_header()
        check_colours(header, source.name, self.alpha, self.grey, self.sample_range)
        return header

    def _warn(self, name: str, share: float) -> None:
        """Warn of pixels without data."""
        self._has_warned = True
        print_log(
            f'{name}: {share:.1%} of the pixels have no data (no-data value, mask or '
            'alpha 0) and are read as image; give them the id 255 in the masks, or '
            'leave such images out. Further images are not named.',
            'current',
            logging.WARNING,
        )

    def __repr__(self) -> str:
        ends = self.sample_range
        more = '' if ends is None else f', sample_range={ends}'
        return f'LoadImage(alpha={self.alpha!r}, grey={self.grey!r}{more})'


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
