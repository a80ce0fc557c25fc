"""Predicted masks as files, and as the archive that a benchmark's server takes."""

from __future__ import annotations

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from s5_mm.io.images.sidecars import remove_sidecars

from .zip_archive import write_archive


class MaskWriter:
    """Writes masks into one folder, a PNG an image, named after the image.

    Args:
        folder: Where the masks go; made where missing.
        id_offset: Added to the class ids, for servers that count from another number.
        archive: Zip of the masks, relative to ``folder``; None makes none.
    """

    def __init__(
        self, folder: str, id_offset: int = 0, archive: str | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        self.id_offset = id_offset
        self.archive = None if archive is None else self.folder / archive
        self._sources: dict[str, str] = {}
        os.makedirs(self.folder, exist_ok=True)

    def write(
        self, mask: np.ndarray, img_path: str, size: tuple[int, int] | None = None
    ) -> Path:
        """Write the mask of an image.

        Args:
            mask: Class ids as the model says them, any integer type, (H, W).
            img_path: The image.
            size: Height and width of the image; None if they are not known.

        Returns:
            The file: 8 bits, the ids plus ``id_offset``.

        Raises:
            ValueError: If the mask is not of the image's size, another image has the
                same name, or an id does not fit into 8 bits.
        """
        if size is not None and mask.shape != tuple(size):
            raise ValueError(
                f'{img_path}: predicted mask of {mask.shape[0]}x{mask.shape[1]} px '
                f'(height x width), expected the size of the image, '
                f'{size[0]}x{size[1]}'
            )
        name = self._claim(self._sources, img_path)
        ids = mask.astype(np.int64) + self.id_offset
        if ids.size and (ids.min() < 0 or ids.max() > 255):
            raise ValueError(
                f'{img_path}: ids {ids.min()}..{ids.max()} with '
                f'id_offset={self.id_offset}, allowed are 0..255'
            )
        path = self.folder / name
        remove_sidecars(path)  # of an older mask, which a viewer would show
        Image.fromarray(ids.astype(np.uint8)).save(path)
        return path

    def finish(self, img_paths: Iterable[str]) -> Path | None:
        """Look at the masks of all processes and archive them.

        The archive is flat, sorted by name, without times: the same masks give the
        same bytes.  It holds the masks of these images and nothing else that lies in
        the folder, and it appears whole or not at all.

        Args:
            img_paths: All images, after every process has written its masks.

        Returns:
            The archive, None if there is to be none.

        Raises:
            ValueError: If two images have the same name, or one that goes into an
                archive comes twice.
            FileNotFoundError: If a mask is not there, as on a node of its own disk.
        """
        sources: dict[str, str] = {}
        times: Counter[str] = Counter()
        for img_path in img_paths:
            self._claim(sources, img_path)
            times[img_path] += 1
        if self.archive is None:
            return None
        if repeated := [img_path for img_path, count in times.items() if count > 1]:
            raise ValueError(
                f'{self.archive}: {len(repeated)} images were predicted more than '
                f'once, {repeated[:5]}; if one stands in for an image that cannot be '
                'read, the archive would lack that image'
            )
        for name, img_path in sources.items():
            if not (self.folder / name).is_file():
                raise FileNotFoundError(
                    f'{self.folder / name}: the mask of {img_path} is not there; '
                    'output_dir must be a folder that all processes share'
                )
        # PNG is compressed already.
        write_archive(self.archive, [self.folder / name for name in sources])
        return self.archive

    def _claim(self, sources: dict[str, str], img_path: str) -> str:
        """Name of an image's mask, if no other image has it."""
        name = osp.splitext(osp.basename(img_path))[0] + '.png'
        other = sources.setdefault(name, img_path)
        if other != img_path:
            raise ValueError(
                f'{other} and {img_path}: both masks would be {self.folder / name}; '
                'expected images of different names, evaluate them one folder at a '
                'time'
            )
        return name
