"""Images with masks of class ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from mmseg.datasets import BaseSegDataset

from s5_mm.registry import DATASETS
from s5_mm.utils.randomness import View, seeded

from .labels import LabelRule
from .path_table import IMAGE_SUFFIXES, PathTable

_SHOWN = 5


@DATASETS.register_module()
class SegDataset(BaseSegDataset):
    """Any labelled data set, described by its config alone.

    The layouts are those of mmseg: an image and a mask of the same name below two
    folders, all of them or those that ``ann_file`` lists.  A line of the list is a
    name without suffix, as in mmseg, or an image and its mask, both with suffix and
    relative to ``data_root``, as in the release.  Classes and palette come from
    ``metainfo``.  Everything that is missing is an error when the data set opens.

    A sample drawn by :class:`s5_mm.MultiSourceSampler` gets draws of its own; with
    the samplers of the host the draws are the host's.

    Args:
        ann_file: List of images; empty: all images of the folder.
        img_suffix: Ending of the images, or several; the names in a list get the
            first one that exists.
        seg_map_suffix: Ending of the masks.
        metainfo: ``classes`` and, optionally, ``palette``.
        data_root: Folder that everything else is relative to.
        data_prefix: ``img_path`` and ``seg_map_path``, the two folders.
        ignore_index: Label that is ignored besides 255; :class:`s5_mm.LoadMask` turns
            it into 255.
        verify: What is checked when the data set opens: ``'none'`` only that every
            file exists, ``'headers'`` that the images are usable and of the size of
            their masks, ``'full'`` every pixel.
        **kwargs: As of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If a folder, a list, an image or a mask is missing.
        ValueError: If there is no image, no ``classes``, a malformed line, or a file
            that ``verify`` refuses.
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
        verify: Literal['none', 'headers', 'full'] = 'none',
        **kwargs: Any,
    ) -> None:
        if not (metainfo or self.METAINFO).get('classes'):
            raise ValueError(
                f"SegDataset of data_root={data_root!r}: metainfo has no 'classes', "
                'expected metainfo=dict(classes=(...), palette=[...])'
            )
        if verify not in ('none', 'headers', 'full'):
            raise ValueError(
                f"verify={verify!r}, allowed are 'none', 'headers' and 'full'"
            )
        suffixes = (img_suffix,) if isinstance(img_suffix, str) else tuple(img_suffix)
        self.verify = verify
        super().__init__(
            ann_file=ann_file,
            img_suffix=suffixes,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix=data_prefix
            or {'img_path': 'img_dir', 'seg_map_path': 'ann_dir'},
            ignore_index=ignore_index,
            **kwargs,
        )

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
            One dict per pair, sorted by image unless a list gives the order.
        """
        pairs = self._listed() if self.ann_file else self._found()
        return [
            {
                'img_path': image,
                'seg_map_path': mask,
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
        with seeded(key, View.GEOMETRY):
            return self.pipeline(info)

    def _found(self) -> list[tuple[str, str]]:
        """Pair what is in the two folders."""
        folder = self.data_prefix['img_path']
        masks = self.data_prefix['seg_map_path']
        images = _by_stem(folder, self.img_suffix)
        labels = _by_stem(masks, (self.seg_map_suffix,))
        _none_missing(
            [images[stem] for stem in sorted(images.keys() - labels.keys())],
            f'{masks}: no mask *{self.seg_map_suffix}',
            f'image(s) of {folder}',
        )
        _none_missing(
            [labels[stem] for stem in sorted(labels.keys() - images.keys())],
            f'{folder}: no image *({", *".join(self.img_suffix)})',
            f'mask(s) of {masks}',
        )
        return [
            (os.path.join(folder, images[stem]), os.path.join(masks, labels[stem]))
            for stem in sorted(images)
        ]

    def _listed(self) -> list[tuple[str, str]]:
        """Pair what a list names."""
        table = PathTable.from_list(self.ann_file)
        pairs = [self._pair(table.name(row)) for row in range(len(table))]
        for kind, column in (('image', 0), ('mask', 1)):
            missing = [
                pair[column] for pair in pairs if not os.path.isfile(pair[column])
            ]
            _none_missing(
                missing, f'{self.ann_file}: no file', f'{kind}(s) of the list'
            )
        return pairs

    def _pair(self, line: str) -> tuple[str, str]:
        """Understand a line of the list."""
        columns = line.split()
        root = self.data_root or ''
        if len(columns) == 2 and os.path.splitext(columns[1])[1]:
            return os.path.join(root, columns[0]), os.path.join(root, columns[1])
        image = os.path.join(self.data_prefix['img_path'], line)
        mask = os.path.join(
            self.data_prefix['seg_map_path'], line + self.seg_map_suffix
        )
        existing = (
            image + suffix
            for suffix in self.img_suffix
            if os.path.isfile(image + suffix)
        )
        return next(existing, image + self.img_suffix[0]), mask


def _by_stem(folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """List the files of a folder by their names without suffix."""
    table = PathTable.from_folder(folder, suffixes)
    found: dict[str, str] = {}
    for name in (table.name(row) for row in range(len(table))):
        fitting = [len(s) for s in suffixes if name.lower().endswith(s.lower())]
        stem = name[: -max(fitting)]
        if stem in found:
            raise ValueError(
                f'{folder}: {found[stem]} and {name} are two files of one name, '
                f'expected one of the suffixes {tuple(suffixes)} each; narrow the '
                'suffixes down'
            )
        found[stem] = name
    return found


def _none_missing(missing: Sequence[str], where: str, of_what: str) -> None:
    """Raise if something is missing, with the number and the first names."""
    if missing:
        shown = ', '.join(missing[:_SHOWN]) + (', ...' if len(missing) > _SHOWN else '')
        raise FileNotFoundError(f'{where} for {len(missing)} {of_what}: {shown}')
