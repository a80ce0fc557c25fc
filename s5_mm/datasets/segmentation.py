"""Images with masks of class ids."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mmseg.datasets import BaseSegDataset

from s5_mm.io.images.header import is_address
from s5_mm.io.path_table import IMAGE_SUFFIXES, PathTable
from s5_mm.registry import DATASETS
from s5_mm.utils.argument_checks import check_choice
from s5_mm.utils.ignore import IGNORE
from s5_mm.utils.randomness import View, seeded_for
from s5_mm.visualization.palette import palette_of

from .labels import LabelRule
from .pairing import Pair, by_stem, none_missing


@DATASETS.register_module()
class SegDataset(BaseSegDataset):
    """Any labelled data set, described by its config alone.

    The layouts are those of mmseg: an image and a mask of the same name below two
    folders, all of them or those that ``ann_file`` lists.  A line of the list is a
    name without suffix, as in mmseg, or an image and its mask, both with suffix and
    relative to ``data_root``, as in the release; where these names hold spaces, a tab
    separates the two.  Classes and palette come from ``metainfo``; without a palette
    the colours are those of :func:`s5_mm.visualization.categorical_palette`.
    Everything that is missing is an error when the data set opens.
    With ``seg_map_path=None`` there are no masks, as in a test split whose labels are
    not published: samples have no ``seg_map_path`` and the pipeline no ``LoadMask``.

    A sample drawn by :class:`s5_mm.MultiSourceSampler` gets draws of its own; with
    the samplers of the host the draws are the host's.

    Args:
        ann_file: List of images; empty: all images of the folder.
        img_suffix: Ending of the images, or several; the names in a list get the
            first one that exists.
        seg_map_suffix: Ending of the masks.
        metainfo: ``classes`` and, optionally, ``palette``.
        data_root: Folder that everything else is relative to.
        data_prefix: ``img_path`` and ``seg_map_path``, the two folders; None instead
            of the second means that there are no masks, a mask that a line of the
            list names is then passed over.
        ignore_index: Label that is ignored besides 255; :class:`s5_mm.LoadMask` turns
            it into 255.
        label_map: Value stored in the masks -> class id, for masks that do not hold
            ids: ``{255: 1}`` for binary masks of 0 and 255.  Other values stay.
        verify: What is checked when the data set opens: ``'none'`` only that every
            file exists, ``'headers'`` that the images are usable and of the size of
            their masks, ``'full'`` every pixel.
        **kwargs: As of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If a folder, a list, an image or a mask is missing.
        ValueError: If there is no image, no ``classes``, a folder that is not named,
            a malformed line, a ``label_map`` to ids that are no class, or a file that
            ``verify`` refuses.
    """

    def __init__(
        self,
        ann_file: str = '',
        img_suffix: str | Sequence[str] = IMAGE_SUFFIXES,
        seg_map_suffix: str = '.png',
        metainfo: dict | None = None,
        data_root: str | None = None,
        data_prefix: dict | None = None,
        ignore_index: int = 255,
        label_map: Mapping[int, int] | None = None,
        verify: Literal['none', 'headers', 'full'] = 'none',
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        if not (metainfo or self.METAINFO).get('classes'):
            raise ValueError(
                f"SegDataset of data_root={data_root!r}: metainfo has no 'classes', "
                'expected metainfo=dict(classes=(...), palette=[...])'
            )
        check_choice('verify', verify, ('none', 'headers', 'full'))
        prefix = dict(data_prefix or {'img_path': 'img_dir', 'seg_map_path': 'ann_dir'})
        if prefix.get('img_path') is None or 'seg_map_path' not in prefix:
            raise ValueError(
                f'SegDataset of data_root={data_root!r}: data_prefix={prefix}, '
                'expected img_path and seg_map_path; seg_map_path=None says that there '
                'are no masks'
            )
        suffixes = (img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix)
        self.verify = verify
        # Opened below, when the label map is known.
        super().__init__(
            ann_file=ann_file,
            img_suffix=suffixes,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=prefix,
            ignore_index=ignore_index,
            lazy_init=True,
            **kwargs,
        )
        if label_map is not None:
            self.label_map = self._checked_map(label_map)
            self._metainfo['label_map'] = self.label_map
        if not lazy_init:
            self.full_init()

    @property
    def label_rule(self) -> LabelRule:
        """How the stored values become class ids."""
        return LabelRule(
            len(self._metainfo['classes']),
            self.reduce_zero_label,
            self.ignore_index,
            self.label_map,
        )

    def full_init(self) -> None:
        """Open the data set and, if asked for, check its files."""
        if self._fully_initialized:
            return
        super().full_init()
        if self.verify != 'none':
            from .verification import verify_dataset

            verify_dataset(self, 'headers' if self.verify == 'headers' else 'full')

    def load_data_list(self) -> list[dict]:
        """Find every pair of image and mask.

        Returns:
            One dict per pair, sorted by image unless a list gives the order; without
            ``seg_map_path`` where there are no masks.
        """
        pairs = self._listed() if self.ann_file else self._found()
        return [
            {
                'img_path': image,
                **({} if mask is None else {'seg_map_path': mask}),
                'label_map': self.label_map,
                'reduce_zero_label': self.reduce_zero_label,
                'seg_fields': [],
            }
            for image, mask in pairs
        ]

    def get_data_info(self, idx: int) -> dict:
        """Get a pair, with what :class:`s5_mm.LoadMask` checks it against.

        Args:
            idx: Index of the pair.

        Returns:
            What the pipeline starts from.
        """
        info = super().get_data_info(idx)
        info['num_classes'] = len(self._metainfo['classes'])
        info['ignore_index'] = self.ignore_index
        return info

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline, with draws of the sample if it has a key.

        Args:
            idx: Index of the pair, a ``StreamIndex`` or any integer.

        Returns:
            What the pipeline returns.
        """
        info = self.get_data_info(int(idx))
        key = getattr(idx, 'key', None)
        if key is None:
            return self.pipeline(info)
        info['sample_key'] = key
        with seeded_for(self.pipeline, key, View.GEOMETRY):
            return self.pipeline(info)

    def _checked_map(self, label_map: Mapping[int, int]) -> dict[int, int]:
        """Refuse a label map that leads to ids that are no class."""
        classes = len(self._metainfo['classes'])
        for value, label in label_map.items():
            if not 0 <= int(value) <= IGNORE or (
                label != IGNORE and not 0 <= int(label) < classes
            ):
                raise ValueError(
                    f'SegDataset of data_root={self.data_root!r}: label_map has '
                    f'{value!r}: {label!r}; allowed are stored values 0..{IGNORE} and '
                    f'class ids 0..{classes - 1}, or {IGNORE} to ignore'
                )
        return {int(value): int(label) for value, label in label_map.items()}

    def _update_palette(self) -> list:
        """Fill in a palette; the host's random one has classes of nearly one colour."""
        if not self._metainfo.get('palette'):
            return list(palette_of(self._metainfo))
        return super()._update_palette()

    def _join_prefix(self) -> None:
        """Put ``data_root`` before the folders; the host refuses None."""
        masks = self.data_prefix.pop('seg_map_path')
        if masks is not None:
            self.data_prefix['seg_map_path'] = masks
        super()._join_prefix()
        self.data_prefix.setdefault('seg_map_path', None)

    def _found(self) -> list[Pair]:
        """Pair what is in the two folders."""
        folder = self.data_prefix['img_path']
        masks = self.data_prefix['seg_map_path']
        images = by_stem(folder, self.img_suffix)
        if masks is None:
            return [
                (os.path.join(folder, images[stem]), None) for stem in sorted(images)
            ]
        labels = by_stem(masks, (self.seg_map_suffix,))
        none_missing(
            [images[stem] for stem in sorted(images.keys() - labels.keys())],
            f'{masks}: no mask *{self.seg_map_suffix}',
            f'image(s) of {folder}',
        )
        none_missing(
            [labels[stem] for stem in sorted(labels.keys() - images.keys())],
            f'{folder}: no image *({", *".join(self.img_suffix)})',
            f'mask(s) of {masks}',
        )
        return [
            (os.path.join(folder, images[stem]), os.path.join(masks, labels[stem]))
            for stem in sorted(images)
        ]

    def _listed(self) -> list[Pair]:
        """Pair what a list names."""
        table = PathTable.from_list(self.ann_file)
        pairs = [self._pair(table.name(row)) for row in range(len(table))]
        for kind, column in (('image', 0), ('mask', 1)):
            files = [file for pair in pairs if (file := pair[column]) is not None]
            missing = [
                file for file in files if not (is_address(file) or os.path.isfile(file))
            ]
            none_missing(
                missing,
                f'{self.ann_file}: no file',
                f'{kind}(s) of the list',
                self._explain(missing, files),
            )
        return pairs

    def _explain(self, missing: Sequence[str], files: Sequence[str]) -> str:
        """Say more about files of a list that are missing; a child may know more."""
        return ''

    def _pair(self, line: str) -> Pair:
        """Understand a line of the list."""
        columns = line.split('\t') if '\t' in line else line.split()
        root = self.data_root or ''
        masks = self.data_prefix['seg_map_path']
        # "tile v1.2" is one name: both columns of a pair end as image files do.
        if len(columns) == 2 and all(map(_is_image_name, columns)):
            columns = [column.strip() for column in columns]
            image, mask = (
                column if is_address(column) else os.path.join(root, column)
                for column in columns
            )
            return image, None if masks is None else mask
        image = os.path.join(self.data_prefix['img_path'], line)
        mask = masks and os.path.join(masks, line + self.seg_map_suffix)
        existing = (
            image + suffix
            for suffix in self.img_suffix
            if os.path.isfile(image + suffix)
        )
        return next(existing, image + self.img_suffix[0]), mask


def _is_image_name(name: str) -> bool:
    """Tell whether a name ends in the suffix of an image file."""
    return name.strip().lower().endswith(IMAGE_SUFFIXES)
