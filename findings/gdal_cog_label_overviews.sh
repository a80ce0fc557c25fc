#!/usr/bin/env bash
# rasterio 1.4.4 (GDAL 3.10.3), driver COG
# Behaviour: the COG driver builds the overviews of a label map by cubic interpolation,
#     unless the map has a colour table. Zoomed out, the map has classes that it does
#     not contain.
# Seen: classes [0, 4] in the map, [0, 1, 3, 4] in its overview; with a colour table or
#     overview_resampling='nearest': [0, 4].
# Why it surprises: no resampling was asked for, the ids are integers of one byte, and a
#     plain reader takes the overview by itself: `read(out_shape=...)` with its default
#     "nearest" returns class 1 and 3.
# Instead: pass overview_resampling='mode' or 'nearest' for labels, or write a colour
#     table.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q rasterio==1.4.4 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import numpy as np
import rasterio
from rasterio.transform import from_origin

blocks = np.random.default_rng(0).integers(0, 2, (128, 128))
labels = (4 * np.kron(blocks, np.ones((8, 8)))).astype('uint8')


def overview_classes(path, palette=None, **options):
    with rasterio.open(
        path, 'w', driver='COG', height=1024, width=1024, count=1, dtype='uint8',
        crs='EPSG:32632', transform=from_origin(500_000, 5_000_000, 1, 1), **options,
    ) as dst:
        dst.write(labels, 1)
        if palette:
            dst.write_colormap(1, palette)
    with rasterio.open(path) as src:
        assert src.overviews(1) == [2]
        return np.unique(src.read(1, out_shape=(512, 512))).tolist()


default = overview_classes('default.tif')
nearest = overview_classes('nearest.tif', overview_resampling='nearest')
colours = overview_classes('colours.tif', {0: (0, 0, 0, 255), 4: (255, 0, 0, 255)})
print('map:', np.unique(labels).tolist())
print('overview by default:', default)
print('overview by nearest:', nearest)
print('overview with a colour table:', colours)
if not (set(default) > {0, 4} and nearest == colours == [0, 4]):
    sys.exit('changed: the COG driver no longer interpolates labels by default')
PY
