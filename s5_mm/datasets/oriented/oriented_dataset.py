"""What data sets of oriented boxes have in common, whatever their files look like."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from mmdet.datasets import BaseDetDataset
from mmengine.logging import print_log

from s5_mm.utils.argument_checks import check_choice
from s5_mm.visualization.palette import palette_of

from .annotations import DegeneratePolicy, OrientedObjects
from .images import ORIENTED_SUFFIXES, ImageFolder, image_shape
from .rules import BoxRules, OutsidePolicy

MissingPolicy = Literal['raise', 'empty']
"""What becomes of images without annotation."""


class OrientedDataset(BaseDetDataset):
    """Images with boxes of four corners; children say how the files are read.

    An instance has ``bbox`` (eight coordinates, for ``mmdet.LoadAnnotations`` with
    ``box_type='qbox'``), ``bbox_label`` and ``ignore_flag``.  What is left out is
    counted in the log.

    Args:
        ann_file: As the child says.
        metainfo: ``classes`` in the order of their ids and, optionally, ``palette``;
            without one the colours are those of
            :func:`s5_mm.visualization.categorical_palette`.
        data_root: Folder that everything else is relative to.
        data_prefix: ``img_path``, the folder of the images.
        img_suffix: Ending of the images, or several.
        missing_ann: Images without annotation: ``'raise'``, or ``'empty'`` to take
            them as images without objects.
        outside: Boxes wholly outside of their image: ``'raise'``, ``'drop'`` or
            ``'keep'``.  All but the last need the size of every image, from
            the annotation or from the head of the file.
        degenerate: Boxes without area: ``'raise'``, ``'drop'``, or ``'keep'`` where
            ``min_side`` gives them one.
        ignore_size: In training, boxes whose upright hull has a side shorter than
            this, in pixels, are left out.
        min_side: Sides of the oriented boxes that are shorter than this, in pixels,
            are widened to it.
        diff_thr: Objects of a higher difficulty get ``ignore_flag=1``.
        filter_cfg: ``filter_empty_gt=True`` leaves images without boxes out, unless
            in test mode.
        **kwargs: As of mmdet's ``BaseDetDataset``.

    Raises:
        FileNotFoundError: If a folder or a file is missing.
        ValueError: If an argument or a file is not as it is expected.
    """

    def __init__(
        self,
        ann_file: str | Sequence[str] = '',
        metainfo: dict | None = None,
        data_root: str = '',
        data_prefix: dict | None = None,
        img_suffix: str | Sequence[str] = ORIENTED_SUFFIXES,
        missing_ann: MissingPolicy = 'raise',
        outside: OutsidePolicy = 'raise',
        degenerate: DegeneratePolicy = 'raise',
        ignore_size: float = 0,
        min_side: float = 0,
        diff_thr: int = 100,
        filter_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        self.rules = BoxRules(outside, degenerate, ignore_size, min_side, diff_thr)
        where = f'{type(self).__name__} of data_root={data_root!r}'
        check_choice(f'{where}: missing_ann', missing_ann, ('raise', 'empty'))
        metainfo = dict(metainfo or {})
        if not metainfo.get('classes'):
            # The host's classes would stand in silently.
            raise ValueError(
                f"{where}: metainfo has no 'classes', expected "
                'metainfo=dict(classes=(...), palette=[...])'
            )
        unknown = sorted(set(filter_cfg or {}) - {'filter_empty_gt'})
        if unknown:
            raise ValueError(
                f"{where}: filter_cfg has {unknown}, allowed is 'filter_empty_gt'"
            )
        prefix = dict(data_prefix or {})
        if list(prefix) != ['img_path']:
            raise ValueError(
                f'{where}: data_prefix={prefix}, expected img_path, the folder of the '
                'images, and nothing else'
            )
        if isinstance(img_suffix, str):
            img_suffix = (img_suffix,)
        self.img_suffix = tuple(img_suffix)
        self.missing_ann = missing_ann
        self._left_out: Counter[str] = Counter()
        super().__init__(
            ann_file=ann_file,
            metainfo={**metainfo, 'palette': palette_of(metainfo)},
            data_root=data_root,
            data_prefix=prefix,
            filter_cfg=filter_cfg,
            **kwargs,
        )

    def full_init(self) -> None:
        """Open the data set and say in the log what was left out."""
        if self._fully_initialized:
            return
        self._left_out.clear()
        super().full_init()
        if self._left_out:
            counts = ', '.join(f'{n} {what}' for what, n in self._left_out.items())
            print_log(
                f'{self.data_prefix["img_path"]}: {len(self)} images; {counts}',
                logger='current',
            )

    def find_images(self) -> ImageFolder:
        """List the folder of the images.

        Returns:
            Its images by their names.
        """
        return ImageFolder(self.data_prefix['img_path'], self.img_suffix)

    def describe(
        self,
        image: str,
        objects: OrientedObjects | None = None,
        source: str = '',
        size: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Make the entry of an image.

        Args:
            image: Its path.
            objects: What is in it; None: nothing.
            source: File of the objects, for messages.
            size: Height and width in pixels, if the annotation tells.

        Returns:
            What the pipeline starts from; ``height`` and ``width`` where they are
            known.

        Raises:
            AnnotationError: If a box is outside of the image and may not be.
        """
        file = os.path.basename(image)
        info: dict[str, Any] = {
            'img_path': image,
            'file_name': file,
            'img_id': os.path.splitext(file)[0],
            'instances': [],
        }
        if size is None and objects is not None and self.rules.outside != 'keep':
            size = image_shape(image)
        if size is not None:
            info['height'], info['width'] = size
        if objects is not None and len(objects.labels):
            info['instances'], left_out = self.rules.apply(
                objects, source, size, self.test_mode
            )
            self._left_out.update(left_out)
        return info

    def filter_data(self) -> list[dict]:
        """Leave images without boxes out, if asked for.

        Returns:
            The images that are kept.

        Raises:
            ValueError: If none has a box.
        """
        if self.test_mode or not (self.filter_cfg or {}).get('filter_empty_gt', False):
            return self.data_list
        kept = [info for info in self.data_list if info['instances']]
        empty = len(self.data_list) - len(kept)
        if not kept:
            raise ValueError(
                f'{self.data_prefix["img_path"]}: none of {empty} images has a box, '
                'but filter_cfg has filter_empty_gt=True'
            )
        if empty:
            self._left_out['images without boxes left out'] += empty
        return kept
