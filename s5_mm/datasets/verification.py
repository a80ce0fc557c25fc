"""Look at every file of a data set before a run, or instead of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from s5_mm.io.images.header import ImageError
from s5_mm.io.images.layout import check_mask_layout
from s5_mm.io.images.read import read_header, read_mask
from s5_mm.io.images.source import ImageFile, ImageSource

from .labels import LabelRule
from .transforms.load_images import LoadImage

Depth = Literal['headers', 'masks', 'full']
_CHUNK = 64
_SHOWN = 5


class SampleReport(NamedTuple):
    """What was found about one sample.

    Attributes:
        problems: (path, reason) of each bad file.
        histogram: int64, shape (256,): pixels per class id, 255 = ignored; None
            without a mask that could be read.
        size: (width, height) of the image in pixels; None if it could not be read.
    """

    problems: list[tuple[str, str]]
    histogram: np.ndarray | None
    size: tuple[int, int] | None = None


class SampleCheck:
    """Checks samples of one data set; picklable.

    Args:
        rule: How stored mask values become ids; None without masks.
        loader: The transform that will load the images, for its options.
        depth: ``'headers'``: formats, sizes and whether the files are whole;
            ``'masks'``: also every pixel of the masks; ``'full'``: of the images too.
    """

    def __init__(self, rule: LabelRule | None, loader: LoadImage, depth: Depth) -> None:
        self.rule, self.loader, self.depth = rule, loader, depth

    def __call__(self, image: str | ImageSource, mask_path: str | None) -> SampleReport:
        """Check one sample.

        Args:
            image: The image, by its path or as what it is read from.
            mask_path: Its mask, if it has one.

        Returns:
            What was found.
        """
        problems: list[tuple[str, str]] = []
        size, histogram = None, None
        try:
            size = self._image(image)
        except ImageError as error:
            problems.append((error.path, error.reason))
        if mask_path is not None:
            try:
                histogram = self._mask(mask_path, image, size)
            except ImageError as error:
                problems.append((error.path, error.reason))
        return SampleReport(problems, histogram, size)

    def _image(self, image: str | ImageSource) -> tuple[int, int]:
        """Check an image and return its (width, height)."""
        source = ImageFile(image) if isinstance(image, str) else image
        if self.depth == 'full':
            pixels = source.read_image(
                self.loader.alpha, self.loader.grey, self.loader.sample_range
            )
            return pixels.shape[1], pixels.shape[0]
        header = self.loader.check_header(source)
        return header.width, header.height

    def _mask(
        self, path: str, image: str | ImageSource, size: tuple[int, int] | None
    ) -> np.ndarray | None:
        """Check a mask and count its pixels per class."""
        mask = None
        if self.depth == 'headers':
            header = read_header(path)
            check_mask_layout(header, path)
            found = header.width, header.height
        else:
            mask = read_mask(path)
            found = mask.shape[1], mask.shape[0]
        if size is not None and found != size:
            raise ImageError(
                path,
                f'mask of {found[0]}x{found[1]} px, its image {_name(image)} has '
                f'{size[0]}x{size[1]} px',
            )
        if mask is None:
            return None
        try:
            labels = self.rule.apply(mask) if self.rule else mask
        except ValueError as error:
            raise ImageError(path, str(error)) from error
        return np.bincount(labels.ravel(), minlength=256)


def scan(dataset: Any, depth: Depth, jobs: int = 1) -> Iterator[SampleReport]:
    """Check every sample of a data set, in order.

    Args:
        dataset: Has ``get_data_info``, ``__len__`` and ``pipeline``, and
            ``label_rule`` if its masks are to be checked.
        depth: See :class:`SampleCheck`.
        jobs: Processes; 1 works in this one.

    Yields:
        One report per sample.
    """
    loaders = [t for t in dataset.pipeline.transforms if isinstance(t, LoadImage)]
    check = SampleCheck(
        getattr(dataset, 'label_rule', None), (loaders or [LoadImage()])[0], depth
    )
    if jobs <= 1:
        for index in range(len(dataset)):
            yield check(*_files(dataset, index))
        return
    starts = range(0, len(dataset), _CHUNK)
    # Forked, as the loader's workers are: importing torch again would cost seconds.
    with ProcessPoolExecutor(
        jobs, get_context('fork'), cv2.setNumThreads, (0,)
    ) as pool:
        # A bounded number of chunks ahead: a million paths are never queued at once.
        window: deque[Future] = deque()
        chunks = (
            [
                _files(dataset, i)
                for i in range(start, min(start + _CHUNK, len(dataset)))
            ]
            for start in starts
        )
        for chunk in chunks:
            window.append(pool.submit(_check_chunk, check, chunk))
            if len(window) > 4 * jobs:
                yield from window.popleft().result()
        for future in window:
            yield from future.result()


def verify_dataset(dataset: Any, depth: Depth, jobs: int = 1) -> None:
    """Refuse a data set that has a bad file.

    Args:
        dataset: See :func:`scan`.
        depth: See :class:`SampleCheck`.
        jobs: Processes.

    Raises:
        ValueError: Naming how many files are bad and the first of them.
    """
    problems = [
        problem for report in scan(dataset, depth, jobs) for problem in report.problems
    ]
    if problems:
        shown = ''.join(f'\n  {path}: {reason}' for path, reason in problems[:_SHOWN])
        more = '\n  ...' if len(problems) > _SHOWN else ''
        raise ValueError(
            f'{len(problems)} bad file(s) in {len(dataset)} samples:{shown}{more}'
        )


def _files(dataset: Any, index: int) -> tuple[str | ImageSource, str | None]:
    """Give image and mask of a sample."""
    info = dataset.get_data_info(index)
    return info.get('img_source') or info['img_path'], info.get('seg_map_path')


def _name(image: str | ImageSource) -> str:
    """Name an image."""
    return image if isinstance(image, str) else image.name


def _check_chunk(
    check: SampleCheck, files: Sequence[tuple[str | ImageSource, str | None]]
) -> list[SampleReport]:
    """Check some samples, in a process of their own."""
    return [check(*pair) for pair in files]
