"""From a large image to a GeoTIFF of labels, both by blocks."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from s5_mm.checkpoints import whole_file
from s5_mm.datasets.image_header import ImageError
from s5_mm.datasets.patches.image_rows import open_rows
from s5_mm.datasets.raster_io import open_raster
from s5_mm.models.segmentors.inference import Predict, window_starts

from .banded_slide import banded_slide
from .window_network import WindowNetwork

NO_DATA = 255
_TILE = 512
# MB of decoded and of unwritten blocks that GDAL keeps; its default is 5 % of memory.
_CACHE = 64


def segment_raster(
    network: WindowNetwork,
    source: str,
    target: str,
    high_byte: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Segment an image of any height.

    Args:
        network: What sees the windows.
        source: PNG, JPEG or TIFF, 8-bit RGB or grey; alpha and no-data value mark
            pixels without data.
        target: The GeoTIFF: uint8, tiles of 512 pixels, deflated, with the
            georeference of ``source``, the palette, the names of the classes (tag
            ``classes`` of the band, JSON) and 255 where ``source`` has no data.  It
            appears whole or not at all.
        high_byte: Take the upper byte of 16-bit samples.
        progress: Called with the windows seen and the windows in all.

    Raises:
        ImageError: ``source`` cannot be read, or is ``target``.
        OSError: ``target`` cannot be written.
    """
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ImageError(source, 'is the output too; expected another file')
    pixels = open_rows(source, high_byte)
    try:
        with open_raster(source, 'image') as raster:
            size = (raster.height, raster.width)
            labels = banded_slide(
                _reporting(network, size, progress),
                pixels,
                network.test_cfg,
                size,
                network.prepare,
                network.threshold,
            )
            with whole_file(target, lambda aside: _check(aside, target, size)) as aside:
                done = 0
                with LabelWriter(str(aside), target, raster, network) as writer:
                    for rows in labels:
                        ids = rows.to('cpu').numpy().astype(np.uint8)
                        ids[~_has_data(raster, source, done, done + len(ids))] = NO_DATA
                        writer.write(ids)
                        done += len(ids)
    finally:
        pixels.close()


def _reporting(
    network: WindowNetwork,
    size: tuple[int, int],
    progress: Callable[[int, int], None] | None,
) -> Predict:
    """Make the network tell how many windows of an image (H, W) it has seen."""
    if progress is None:
        return network.predict
    cfg = network.test_cfg
    sides = zip(size, cfg['crop_size'], cfg['stride'], strict=True)
    total = math.prod(len(window_starts(*side, cfg.get('windows'))) for side in sides)
    seen = 0

    def predict(windows: Tensor, metas: list[dict[str, Any]]) -> Tensor:
        nonlocal seen
        scores = network.predict(windows, metas)
        seen += len(windows)
        progress(seen, total)
        return scores

    return predict


class LabelWriter:
    """Writes rows of labels into a tiled GeoTIFF, each tile once.

    Args:
        path: The file to write.
        name: What messages call it.
        like: Open raster whose size and georeference it gets.
        network: Has classes and palette.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: str, name: str, like: Any, network: WindowNetwork) -> None:
        import rasterio

        self.name = name
        self._env = rasterio.Env(GDAL_CACHEMAX=_CACHE)
        self._rows = np.empty((0, like.width), np.uint8)
        self._written = 0
        profile = dict(
            driver='GTiff',
            width=like.width,
            height=like.height,
            count=1,
            dtype='uint8',
            nodata=NO_DATA,
            tiled=True,
            blockxsize=_TILE,
            blockysize=_TILE,
            compress='deflate',
            bigtiff='if_safer',
            crs=like.crs,
        )
        if not like.transform.is_identity:
            profile['transform'] = like.transform
        with self._env:
            self._file: Any = self._guarded(rasterio.open, path, 'w', **profile)
            points, system = like.gcps
            if points:
                self._file.gcps = (points, system)
            if like.rpcs is not None:
                self._file.rpcs = like.rpcs
            self._file.update_tags(1, classes=json.dumps(list(network.classes)))
            if network.palette is not None:
                colours = {i: tuple(rgb) for i, rgb in enumerate(network.palette)}
                self._file.write_colormap(1, {**colours, NO_DATA: (0, 0, 0, 0)})

    def write(self, labels: np.ndarray) -> None:
        """Write the next rows.

        Args:
            labels: uint8, (rows, W).

        Raises:
            OSError: They cannot be written.
        """
        self._rows = np.concatenate([self._rows, labels])
        last = self._written + len(self._rows) == self._file.height
        self._flush(len(self._rows) if last else len(self._rows) // _TILE * _TILE)

    def __enter__(self) -> LabelWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._env:
            self._guarded(self._file.close)

    def _flush(self, count: int) -> None:
        """Write the first rows of those that are kept, whole tiles."""
        if not count:
            return
        rows, self._rows = self._rows[:count], self._rows[count:]
        window = ((self._written, self._written + count), (0, self._file.width))
        with self._env:
            self._guarded(self._file.write, rows, 1, window=window)
        self._written += count

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call rasterio, and name the file where that fails."""
        from rasterio.errors import RasterioError

        try:
            return call(*args, **kwargs)
        except RasterioError as error:
            raise OSError(
                f'{self.name}: cannot be written ({error.__cause__ or error})'
            ) from error


def _has_data(raster: Any, source: str, start: int, stop: int) -> np.ndarray | bool:
    """Tell the pixels of rows that have data, (rows, W)."""
    import rasterio
    from rasterio.enums import MaskFlags

    if all(MaskFlags.all_valid in flags for flags in raster.mask_flag_enums):
        return np.ones((stop - start, raster.width), bool)
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE):
            window = ((start, stop), (0, raster.width))
            return raster.dataset_mask(window=window) > 0
    except Exception as error:
        raise ImageError(
            source,
            f'truncated or damaged: the mask of rows {start} to {stop} cannot be '
            f'decoded ({error.__cause__ or error})',
        ) from error


def _check(aside: str, target: str, size: tuple[int, int]) -> None:
    """Refuse a file whose last tile cannot be read: GDAL closes full disks silently."""
    import rasterio

    try:
        with rasterio.open(aside) as file:
            height, width = size
            file.read(1, window=((height - 1, height), (0, width)))
    except Exception as error:
        raise OSError(
            f'{target}: what was written cannot be read ({error.__cause__ or error}); '
            'is the disk full?'
        ) from error
