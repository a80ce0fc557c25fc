"""The images that must not leak into training, as the check compares them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from s5_mm.io.atomic import atomic_open
from s5_mm.io.images.read import read_image
from s5_mm.io.process_pool import map_unordered

from ..planning.collections import read_collections
from .eval_crops import EvalCrops, cut_eval_images
from .provenance import Origin, Provenance

_SEPARATOR = '.'


class Benchmarks:
    """Splits of benchmarks, each a collection of images.

    Args:
        settings: Benchmark -> split -> arguments of :class:`Collection`.

    Raises:
        ValueError: If a benchmark has no split, or a split a wrong key.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        named: dict[str, Mapping[str, Any]] = {}
        for benchmark, splits in settings.items():
            if _SEPARATOR in benchmark:
                raise ValueError(
                    f'check.benchmarks[{benchmark!r}]: the name of a benchmark has no '
                    f'{_SEPARATOR!r}'
                )
            if not splits:
                raise ValueError(
                    f'check.benchmarks[{benchmark!r}] has no split, expected e.g. '
                    'val=dict(root=...)'
                )
            for split, given in splits.items():
                named[f'{benchmark}{_SEPARATOR}{split}'] = given
        self.collections = read_collections(named) if named else []

    def __bool__(self) -> bool:
        return bool(self.collections)

    def images(self) -> Iterator[tuple[Origin, str]]:
        """Yield origin and file of every image, split by split."""
        for collection in self.collections:
            for name in collection.names():
                path = os.path.join(collection.root, name)
                yield self.origin(collection.name, name), path

    def identifiers(self) -> dict[str, dict[str, list[str]]]:
        """Identifiers of the images, file names without ending, by split."""
        found: dict[str, dict[str, list[str]]] = {}
        for origin, _ in self.images():
            splits = found.setdefault(origin.benchmark, {})
            splits.setdefault(origin.split, []).append(Path(origin.image).stem)
        return found

    def settings(self) -> dict[str, Any]:
        """What decides the images; where they lie does not."""
        return {collection.name: collection.drawn() for collection in self.collections}

    def roots(self) -> dict[str, str]:
        """Return the root of every split, by ``'benchmark/split'``."""
        return {c.name.replace(_SEPARATOR, '/', 1): c.root for c in self.collections}

    def file(self, provenance: Provenance, origin: Origin) -> str:
        """Return the file of an image.

        Args:
            provenance: Its rules tell the identifiers of the images.
            origin: The image, by its path below the root of its split or by its
                identifier, which several files may have: patches of an image.

        Returns:
            Its path; of several files the first.

        Raises:
            FileNotFoundError: If the split has no such image, or its folder is gone.
            ValueError: If the split has no image at all.
        """
        benchmark, split, image = origin
        name = f'{benchmark}{_SEPARATOR}{split}'
        (collection,) = (c for c in self.collections if c.name == name)
        if os.path.isfile(path := os.path.join(collection.root, image)):
            return path
        for path in collection.names():
            if provenance.own_identifier(benchmark, Path(path).stem) == image:
                return os.path.join(collection.root, path)
        raise FileNotFoundError(f'{benchmark}/{split} has no image {image!r}')

    @staticmethod
    def origin(collection: str, path: str) -> Origin:
        """Name the origin of an image of one of :attr:`collections`."""
        benchmark, split = collection.split(_SEPARATOR, 1)
        return Origin(benchmark, split, path)


def hash_benchmarks(
    benchmarks: Benchmarks, size: int, path: Path, jobs: int = 1
) -> EvalCrops:
    """Cut the images into crops and hash them, or read what was hashed before.

    Args:
        benchmarks: The images.
        size: Side of the pool's crops in pixels.
        path: File that keeps the result.
        jobs: Processes.

    Returns:
        The crops, without features.

    Raises:
        ImageError: If an image cannot be read: what cannot be compared is not safe.
    """
    images = list(benchmarks.images())
    if not path.exists():
        cut = partial(_cut, images, size)
        found: dict[int, EvalCrops] = dict(map_unordered(cut, range(len(images)), jobs))
        parts = [found[number] for number in range(len(images))]
        arrays = {
            'image': np.concatenate(
                [np.full(len(p.window), n, np.int32) for n, p in enumerate(parts)]
            ),
            **{
                key: np.concatenate([getattr(part, key) for part in parts])
                for key in ('window', 'codes', 'quality')
            },
        }
        with atomic_open(path) as file:
            np.savez(file, **arrays)
    with np.load(path, allow_pickle=False) as file:
        return EvalCrops([origin for origin, _ in images], **dict(file))


def _cut(
    images: Sequence[tuple[Origin, str]], size: int, number: int
) -> tuple[int, EvalCrops]:
    """Cut and hash one image."""
    origin, path = images[number]
    pixels = read_image(path, alpha='drop', grey='repeat')
    return number, cut_eval_images([(origin, pixels)], size)
