"""OpenEarthMap in the layout its owners give it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from s5_mm.registry import DATASETS

from .pairing import Pair
from .segmentation import SegDataset


@DATASETS.register_module()
class OpenEarthMapDataset(SegDataset):
    """Land cover of 97 regions at 0.25-0.5 m a pixel (Xia et al., WACV 2023).

    Files are ``<root>/<region>/images/<region>_<n>.tif``, 8-bit RGB GeoTIFF of 1024 x
    1024 px and some smaller, and ``<root>/<region>/labels/<region>_<n>.tif``, one band
    of ids 0 to 8.  All splits of a region lie in one folder, so a list says what
    belongs to a split: one file name a line as in the owners' lists, or image and
    label relative to ``data_root`` as in those of the official release.

    The archive that can be downloaded has no images of the xBD regions;
    ``train_wo_xBD.txt`` (2,303 images) and ``val_wo_xBD.txt`` (384) name the others.
    Labels of the test split are not published: ``data_prefix=dict(img_path='',
    seg_map_path=None)``.

    Id 0, what belongs to no class, is trained and scored as in the release.  Names and
    colours are the release's too, of which the owners call grass rangeland and pavement
    developed space, and draw the latter in (148, 148, 148).

    Args:
        ann_file: The list.
        img_suffix: Ending of the images.
        seg_map_suffix: Ending of the labels.
        data_root: Folder of the regions.
        data_prefix: ``img_path`` and ``seg_map_path``, the folders of the regions if
            they are not ``data_root`` itself; None instead of the second for images
            without labels.
        **kwargs: As of :class:`s5_mm.SegDataset`.

    Raises:
        FileNotFoundError: If a file of the list is missing; the message says how many,
            and whether their regions are absent altogether.
        ValueError: If there is no list, or a line of it is malformed.
    """

    METAINFO = dict(
        classes=(
            'other',
            'bareland',
            'grass',
            'pavement',
            'road',
            'tree',
            'water',
            'agriculture_land',
            'building',
        ),
        palette=[
            [0, 0, 0],
            [128, 0, 0],
            [0, 255, 36],
            [48, 148, 148],
            [255, 255, 255],
            [34, 97, 38],
            [0, 69, 255],
            [75, 181, 73],
            [222, 31, 7],
        ],
    )

    def __init__(
        self,
        ann_file: str = 'train_wo_xBD.txt',
        img_suffix: str = '.tif',
        seg_map_suffix: str = '.tif',
        data_root: str | None = None,
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if not ann_file:
            raise ValueError(
                f'OpenEarthMapDataset of data_root={data_root!r}: ann_file is empty, '
                'expected a list such as train_wo_xBD.txt; the splits share folders'
            )
        super().__init__(
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            data_root=data_root,
            data_prefix=data_prefix or {'img_path': '', 'seg_map_path': ''},
            **kwargs,
        )

    def _pair(self, line: str) -> Pair:
        """Understand a line of the list."""
        columns = line.split()
        if len(columns) == 2:
            return super()._pair(line)
        (suffix,) = self.img_suffix
        name = re.fullmatch(rf'((.+)_[^_/]+){re.escape(suffix)}', line)
        if len(columns) != 1 or name is None or '/' in line:
            raise ValueError(
                f'{self.ann_file}: line {line!r}, expected <region>_<n>{suffix}, or an '
                'image and its label, relative to data_root'
            )
        stem, region = name.groups()
        folders = self.data_prefix
        image = os.path.join(folders['img_path'], region, 'images', line)
        if folders['seg_map_path'] is None:
            return image, None
        label = stem + self.seg_map_suffix
        return image, os.path.join(folders['seg_map_path'], region, 'labels', label)

    def _explain(self, missing: Sequence[str], files: Sequence[str]) -> str:
        """Tell a region that was never there from a file that was lost."""
        if len(missing) == len(files):
            return (
                f'; all files of the list are missing, is data_root={self.data_root}?'
            )
        folders = {os.path.dirname(file) for file in missing}
        if any(os.path.isdir(folder) and os.listdir(folder) for folder in folders):
            return ''
        regions = sorted(os.path.basename(os.path.dirname(f)) for f in folders)
        shown = ', '.join(regions[:5]) + (', ...' if len(regions) > 5 else '')
        text = f'; no file of the {len(regions)} region(s) {shown} is there'
        name, suffix = os.path.splitext(os.path.basename(self.ann_file))
        if name.endswith('_wo_xBD'):
            return text
        return (
            f'{text}: the archive without xBD has none of them, use '
            f'ann_file={name + "_wo_xBD" + suffix!r} with it'
        )
