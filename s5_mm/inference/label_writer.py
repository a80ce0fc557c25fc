"""Labels as a tiled GeoTIFF that takes its place with all that belongs to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from s5_mm.io.atomic import atomic_path
from s5_mm.io.images.raster import block_cache, coordinates_optional, reason_of
from s5_mm.io.images.sidecars import PAM, remove_sidecars

from .window_network import WindowNetwork

NO_DATA = 255
_TILE = 512


@contextmanager
def whole_raster(target: str, like: Any) -> Iterator[str]:
    """Write a raster so that a crash leaves the old one or the new one.

    The sidecars of the old one go; a CRS that GeoTIFF cannot hold comes along in a
    sidecar of the new one.

    Args:
        target: The file to write.
        like: Open raster whose size and CRS it has.

    Yields:
        The name to write to.

    Raises:
        OSError: It cannot be written, or not with this CRS.
    """
    sidecar = None

    def check(name: str) -> None:
        _check(name, target, like)
        remove_sidecars(target)

    try:
        with atomic_path(target, check) as aside:
            sidecar = aside.with_name(aside.name + PAM)
            yield str(aside)
        if sidecar.exists():
            os.replace(sidecar, f'{target}{PAM}')
    finally:
        if sidecar is not None:
            sidecar.unlink(missing_ok=True)


class LabelWriter:
    """Writes rows of labels into a tiled GeoTIFF, each tile once.

    Args:
        path: The file to write.
        name: What messages call it.
        like: Open raster whose size and georeference it gets.
        network: Has classes and palette.  Tools take a band with a palette for one of
            categories, whose overviews they do not interpolate.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: str, name: str, like: Any, network: WindowNetwork) -> None:
        import rasterio

        self.name = name
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
        with block_cache(), coordinates_optional():
            self._file: Any = self._guarded(rasterio.open, path, 'w', **profile)
            points, system = like.gcps
            if points:
                self._file.gcps = (points, system)
            if like.rpcs is not None:
                self._file.rpcs = like.rpcs
            self._file.update_tags(1, classes=json.dumps(list(network.classes)))
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
        with block_cache():
            self._guarded(self._file.close)

    def _flush(self, count: int) -> None:
        """Write the first rows of those that are kept, whole tiles."""
        if not count:
            return
        rows, self._rows = self._rows[:count], self._rows[count:]
        window = ((self._written, self._written + count), (0, self._file.width))
        with block_cache():
            self._guarded(self._file.write, rows, 1, window=window)
        self._written += count

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call rasterio, and name the file where that fails."""
        from rasterio.errors import RasterioError

        try:
            return call(*args, **kwargs)
        except RasterioError as error:
            raise OSError(
                f'{self.name}: cannot be written ({reason_of(error)})'
            ) from error


def _check(aside: str, target: str, like: Any) -> None:
    """Refuse a file that lacks its CRS or whose last tile cannot be read.

    GDAL closes files on full disks silently.
    """
    import rasterio

    try:
        with coordinates_optional(), rasterio.open(aside) as file:
            file.read(1, window=((like.height - 1, like.height), (0, like.width)))
            has_crs = file.crs is not None
    except Exception as error:
        raise OSError(
            f'{target}: what was written cannot be read ({reason_of(error)}); '
            'is the disk full?'
        ) from error
    if like.crs is not None and not has_crs:
        raise OSError(
            f'{target}: GeoTIFF cannot hold the CRS of {like.name}, '
            f'{like.crs.to_wkt()[:80]}...; reproject it with gdalwarp -t_srs EPSG:CODE'
        )
