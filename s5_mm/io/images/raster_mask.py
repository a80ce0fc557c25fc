"""Pixels of a raster that have no data: no-data value, mask or alpha."""

from __future__ import annotations

from typing import Any

import numpy as np

from .raster import Window, spans


def share_without_data(source: Any, window: Window | None = None) -> float:
    """Compute the share of pixels without data.

    Args:
        source: An open raster.
        window: x, y, width and height in pixels; None: all of it.

    Returns:
        0 to 1.
    """
    from rasterio.enums import MaskFlags

    if all(MaskFlags.all_valid in flags for flags in source.mask_flag_enums):
        return 0.0
    return float((source.dataset_mask(window=spans(window)) == 0).mean())


def has_data(
    raster: Any, start: int, stop: int, ignore_alpha: bool = False
) -> np.ndarray | None:
    """Find the pixels of some rows that have data.

    Args:
        raster: An open raster.
        start: First row.
        stop: Row after the last one.
        ignore_alpha: Take the alpha band for one without meaning.

    Returns:
        bool, (stop - start, W); None where all have.
    """
    from rasterio.enums import MaskFlags

    flags = raster.mask_flag_enums
    if all(MaskFlags.all_valid in each for each in flags):
        return None
    window = ((start, stop), (0, raster.width))
    if not ignore_alpha:
        return raster.dataset_mask(window=window) > 0
    if MaskFlags.alpha in flags[0]:
        return None
    colours = [band for band in raster.indexes if not is_alpha(raster, band)]
    return (raster.read_masks(colours, window=window) > 0).any(0)


def is_alpha(raster: Any, band: int) -> bool:
    """Return whether a band, from 1, is declared as alpha."""
    return raster.colorinterp[band - 1].name == 'alpha'
