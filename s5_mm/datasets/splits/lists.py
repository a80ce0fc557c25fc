"""Read a folder of labelled images and write its splits as lists."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s5_mm.io.atomic import write_bytes
from s5_mm.io.path_table import IMAGE_SUFFIXES

from ..class_pixels import class_pixels
from ..segmentation import SegDataset
from .draw_splits import Size, draw_order

LISTS_RECORD = 'split.json'


class Pool(NamedTuple):
    """Labelled images.

    Attributes:
        names: Image and mask of each, relative to the root, with ``/``.
        pixels: int64, shape (N, K): pixels of each class.
        classes: Names of the K classes.
    """

    names: list[tuple[str, str]]
    pixels: np.ndarray
    classes: tuple[str, ...]

    def take(self, rows: Sequence[int]) -> Pool:
        """Select images.

        Args:
            rows: Indices of the images.

        Returns:
            These, in this order.
        """
        names = [self.names[row] for row in rows]
        return Pool(names, self.pixels[list(rows)], self.classes)

    def divide(self, pattern: str | None, option: str) -> tuple[Pool, Pool]:
        """Hold images out.

        Args:
            pattern: Regular expression that is looked for in the name of each image;
                None holds none out.
            option: Option that it comes from, for errors.

        Returns:
            The other images and those that are held out.

        Raises:
            ValueError: If it is no regular expression, or fits all images or none.
        """
        if pattern is None:
            return self, self.take([])
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f'{option} {pattern!r}: {error}; expected a regular expression'
            ) from error
        held_out = [bool(compiled.search(image)) for image, _ in self.names]
        if all(held_out) or not any(held_out):
            raise ValueError(
                f'{option} {pattern!r} fits {sum(held_out)} of {len(held_out)} images '
                f'such as {self.names[0][0]}; expected some, but not all'
            )
        return (
            self.take([row for row, out in enumerate(held_out) if not out]),
            self.take([row for row, out in enumerate(held_out) if out]),
        )

    def present(self, min_pixels: int) -> list[frozenset[int]]:
        """List the classes in each image.

        Args:
            min_pixels: Pixels that a class needs to count as present; where it has so
                many in no image, one is enough.

        Returns:
            Class ids by image.
        """
        enough = (self.pixels >= min_pixels).any(0)
        there = self.pixels >= np.where(enough, min_pixels, 1)
        return [frozenset(np.flatnonzero(row).tolist()) for row in there]

    def summary(self) -> dict[str, Any]:
        """Summarise the images.

        Returns:
            ``images``, their number; ``class_shares``, share of the labelled pixels by
            class; ``images_with_class``, number of images by class.
        """
        totals = self.pixels.sum(0)
        shares = totals / max(1, totals.sum())
        there = (self.pixels > 0).sum(0)
        return {
            'images': len(self.names),
            'class_shares': dict(
                zip(self.classes, shares.round(6).tolist(), strict=True)
            ),
            'images_with_class': dict(zip(self.classes, there.tolist(), strict=True)),
        }


def read_pool(root: str, jobs: int = 1, **settings: Any) -> Pool:
    """Read all pairs of a data set and count the pixels of their masks.

    Args:
        root: Folder that names are relative to.
        jobs: Processes.
        **settings: Of :class:`s5_mm.SegDataset`, with ``metainfo``.

    Returns:
        The pairs, sorted by image.

    Raises:
        FileNotFoundError: If a folder, an image or a mask is missing.
        ValueError: If a file is bad, or a list cannot hold its name.
    """
    dataset = SegDataset(data_root=root, **settings)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    names = [
        (_listed(info['img_path'], root), _listed(info['seg_map_path'], root))
        for info in infos
    ]
    return Pool(names, class_pixels(dataset, jobs), tuple(dataset.metainfo['classes']))


def write_splits(
    out: Path,
    pool: Pool,
    test: Pool,
    sizes: Sequence[Size],
    seeds: Sequence[int],
    min_pixels: int | None = None,
    record: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw the splits of some seeds and write their lists.

    Below ``out``: ``train.txt`` and, if there are any, ``test.txt``; per seed a folder
    ``seed{N}`` with ``labelled_{size}.txt``, ``unlabelled_{size}.txt`` and
    ``split.json``.  A line names an image, and its mask behind a tab unless the image
    is unlabelled.

    Args:
        out: Folder of the lists.
        pool: Images to draw from.
        test: Images held out.
        sizes: Sizes, ascending.
        seeds: Seeds.
        min_pixels: None draws without looking at classes; a number stratifies, see
            :func:`draw_order` and :meth:`Pool.present`.
        record: What else the records say.

    Returns:
        The records, one per seed.

    Raises:
        FileExistsError: If there are lists of another draw; nothing is written then.
    """
    lists: dict[Path, Sequence[Sequence[str]]] = {
        out / 'train.txt': pool.names,
        out / 'test.txt': test.names,
    }
    classes = None if min_pixels is None else pool.present(min_pixels)
    whole = {'train': pool.summary(), 'test': test.summary()}
    records = []
    for seed in seeds:
        order = draw_order([i for i, _ in pool.names], seed, classes, sizes[0].images)
        parts = dict(whole)
        for label, count in sizes:
            for kind, rows in zip(_KINDS, (order[:count], order[count:]), strict=True):
                part = pool.take(sorted(rows))
                parts[f'{kind}_{label}'] = part.summary()
                lists[out / f'seed{seed}' / f'{kind}_{label}.txt'] = (
                    part.names if kind == 'labelled' else [n[:1] for n in part.names]
                )
        records.append({**(record or {}), 'seed': seed, 'parts': parts})
    _write_lists(out, lists)
    for one in records:
        text = json.dumps(one, indent=2) + '\n'
        file = out / f'seed{one["seed"]}' / LISTS_RECORD
        write_bytes(file, text.encode())
    return records


_KINDS = ('labelled', 'unlabelled')


def _listed(path: str, root: str) -> str:
    """Write a path as a list has it."""
    name = os.path.relpath(path, root).replace(os.sep, '/')
    if not name.lower().endswith(IMAGE_SUFFIXES) or re.search(r'[\t\r\n]', name):
        raise ValueError(
            f'{path}: a list cannot hold this name; expected no tab or line break, and '
            f'one of {", ".join(IMAGE_SUFFIXES)} at its end'
        )
    return name


def _write_lists(out: Path, lists: Mapping[Path, Sequence[Sequence[str]]]) -> None:
    """Write lists, unless there are some of another draw.

    Lists of one draw left among those of another would hand test images to the training
    without anybody noticing.

    Args:
        out: Folder of all lists.
        lists: Lines of each, columns apart; without lines there is no file.
    """
    texts = {
        path: os.fsencode(''.join('\t'.join(columns) + '\n' for columns in lines))
        for path, lines in lists.items()
    }
    for folder in {path.parent for path in lists} - {out}:
        texts |= dict.fromkeys(folder.glob('*labelled_*.txt'), b'') | texts
    for path, text in texts.items():
        if path.is_file() and path.read_bytes() != text:
            raise FileExistsError(
                f'{path}: is there already, of another draw; expected a folder without '
                'such lists, choose another --out'
            )
    for path, text in texts.items():
        if text:
            write_bytes(path, text)
