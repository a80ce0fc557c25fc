#!/usr/bin/env bash
# rasterio 1.4.4
# Behaviour: merging label files that declare no no-data value, `merge(method='first')`
#     lets the second file overwrite every 0 of the first, and `method='min'` of 0 and 3
#     is 3.
# Seen: first -> [3], min -> [3]; with nodata=255 both give [0].
# Why it surprises: neither file says that 0 means "no data", and 0 is the first class
#     (background) of most label maps, so in the overlap of two tiles the background of
#     the first is lost. torchgeo's RasterDataset merges its files in this way too.
# Instead: pass a value that no class uses, merge(..., nodata=255), or write the files
#     with one.
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
from rasterio.merge import merge
from rasterio.transform import from_origin


def write(path, value):
    with rasterio.open(
        path, 'w', driver='GTiff', height=10, width=10, count=1, dtype='uint8',
        crs='EPSG:32632', transform=from_origin(500_000, 5_000_000, 1, 1),
    ) as dst:
        dst.write(np.full((1, 10, 10), value, 'uint8'))


write('background.tif', 0)
write('forest.tif', 3)
files = ['background.tif', 'forest.tif']
seen = {}
for method in ('first', 'min'):
    for nodata in (None, 255):
        merged, _ = merge(files, method=method, nodata=nodata)
        seen[method, nodata] = np.unique(merged).tolist()
        print(f'method={method} nodata={nodata}: classes {seen[method, nodata]}')
expected = {
    ('first', None): [3], ('first', 255): [0], ('min', None): [3], ('min', 255): [0]
}
if seen != expected:
    sys.exit('changed: merge() no longer takes 0 for "no data"')
PY
