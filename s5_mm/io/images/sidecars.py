"""Files next to a raster that GDAL and viewers read with it."""

from __future__ import annotations

import os
from pathlib import Path

PAM = '.aux.xml'
"""Ending of the file that holds what a format cannot: GDAL's, before the file's own."""

_ENDINGS = (PAM, '.ovr', '.msk', '.msk.ovr', '.ovr.msk')


def remove_sidecars(path: str | os.PathLike[str]) -> None:
    """Remove what describes the raster that is about to be replaced.

    Overviews, masks, statistics, no-data value and coordinates of the old one would
    be taken for those of the new one.

    Args:
        path: The raster, which need not exist.

    Raises:
        OSError: If one cannot be removed.
    """
    path = Path(path)
    suffix = path.suffix[1:]
    # World files: .tfw and .tifw of a .tif.
    worlds = (f'.{suffix[0]}{suffix[-1]}w', f'.{suffix}w') if suffix else ()
    names = [path.name + ending for ending in _ENDINGS]
    for name in (*names, *(path.stem + ending for ending in worlds)):
        path.with_name(name).unlink(missing_ok=True)
