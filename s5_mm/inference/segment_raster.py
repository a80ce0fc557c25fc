"""From a large image to a GeoTIFF of labels, both by blocks."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from s5_mm.io.images.header import ImageError, is_address
from s5_mm.io.images.raster import block_cache, open_raster, reason_of
from s5_mm.io.images.raster_mask import has_data, is_alpha
from s5_mm.io.images.rows import open_rows
from s5_mm.io.images.sample_depth import check_range
from s5_mm.models.segmentors.inference import Predict, window_starts

from .banded_slide import banded_slide
from .label_writer import NO_DATA, LabelWriter, whole_raster
from .window_network import WindowNetwork


def segment_raster(
    network: WindowNetwork,
    source: str,
    target: str,
    high_byte: bool = False,
    progress: Callable[[int, int], None] | None = None,
    sample_range: Sequence[int] | None = None,
    ignore_alpha: bool = False,
) -> None:
    """Segment an image of any height.

    Args:
        network: What sees the windows.
        source: PNG, JPEG, TIFF or what else GDAL reads, by its path or by an address
            such as ``https://...``, 8-bit RGB or grey; alpha, mask and no-data value
            mark pixels without data.
        target: The GeoTIFF: uint8, tiles of 512 pixels, deflated, with the
            georeference of ``source``, a palette, the names of the classes (tag
            ``classes`` of the band, JSON) and 255 where ``source`` has no data.  It
            appears whole or not at all, and the sidecars of an old one go.
        high_byte: Take the upper byte of 16-bit samples.
        progress: Called with the windows seen and the windows in all.
        sample_range: Samples of 9 to 16 bits that become 0 and 255; None takes the
            network's, unless ``high_byte`` is set.
        ignore_alpha: Take the alpha band for one without meaning.

    Raises:
        ImageError: ``source`` cannot be read, or is ``target``.
        OSError: ``target`` cannot be written, or is a folder.
        ValueError: ``sample_range`` is none, or given with ``high_byte``.
    """
    if sample_range is not None and high_byte:
        raise ValueError(
            f'--sample-range {sample_range} and --high-byte are two ways to scale the '
            'same samples, expected one'
        )
    sample_range = check_range(sample_range, 'segment_raster')
    if sample_range is None and not high_byte:
        sample_range = network.sample_range
    if os.path.isdir(target):
        raise IsADirectoryError(f'{target}: is a folder; expected the name of a file')
    if not os.fspath(target).lower().endswith(('.tif', '.tiff')):
        print_log(
            f'{target}: becomes a GeoTIFF, which programs look for under .tif',
            'current',
            logging.WARNING,
        )
    local = os.path.exists(target) and not is_address(source)
    if local and os.path.exists(source) and os.path.samefile(source, target):
        raise ImageError(source, 'is the output too; expected another file')
    pixels = open_rows(source, high_byte, sample_range=sample_range)
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
            data = _DataRows(raster, source, ignore_alpha)
            with whole_raster(target, raster) as aside:
                done = 0
                with LabelWriter(aside, target, raster, network) as writer:
                    for rows in labels:
                        ids = rows.to('cpu').numpy().astype(np.uint8)
                        seen = data.read(done, done + len(ids))
                        if seen is not None:
                            ids[~seen] = NO_DATA
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


class _DataRows:
    """Finds the pixels of a raster that have data, rows after rows.

    Args:
        raster: The open raster.
        source: Its name.
        ignore_alpha: See :func:`segment_raster`.
    """

    def __init__(self, raster: Any, source: str, ignore_alpha: bool) -> None:
        self.raster, self.source, self.ignore_alpha = raster, source, ignore_alpha
        count = raster.count
        self._alpha = count if is_alpha(raster, count) and not ignore_alpha else None

    def read(self, start: int, stop: int) -> np.ndarray | None:
        """Read rows, bool (stop - start, W); None where all pixels have data."""
        try:
            with block_cache():
                if self._alpha is not None:
                    self._look_at_alpha(start, stop)
                return has_data(self.raster, start, stop, self.ignore_alpha)
        except Exception as error:
            raise ImageError(
                self.source,
                f'truncated or damaged: the mask of rows {start} to {stop} cannot be '
                f'decoded ({reason_of(error)})',
            ) from error

    def _look_at_alpha(self, start: int, stop: int) -> None:
        """Warn, once, of an alpha band that looks like a band of another kind."""
        window = ((start, stop), (0, self.raster.width))
        values = self.raster.read(self._alpha, window=window)
        most = np.iinfo(values.dtype).max if values.dtype.kind == 'u' else 1
        others = np.count_nonzero((values != 0) & (values != most)) / values.size
        if others:
            empty = np.count_nonzero(values == 0) / values.size
            print_log(
                f'{self.source}: band {self._alpha} is declared as alpha, but '
                f'{others:.1%} of rows {start} to {stop} are neither 0 nor {most}; its '
                f'zeros ({empty:.1%}) are written as no data. Is it infrared? '
                '--ignore-alpha takes all pixels for data',
                'current',
                logging.WARNING,
            )
            self._alpha = None
