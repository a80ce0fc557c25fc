#!/usr/bin/env bash
# rasterio 1.4.4 (GDAL 3.10.3)
# Behaviour: four uint8 bands written as a GeoTIFF without `photometric` are declared
#     red, green, blue, alpha. Wherever the fourth band is 0, all four bands count as
#     masked. The same array as uint16 is declared grey and three undefined bands,
#     masked nowhere.
# Seen: uint8 -> alpha, 100 % of the pixels masked; uint16 -> undefined, 0 %; uint8 with
#     photometric='RGB' -> undefined, 0 %.
# Why it surprises: bands of red, green, blue and infrared were written and no alpha was
#     asked for. Infrared is 0 over deep water and shadow, so these turn into no-data in
#     every program that honours masks; and whether it happens depends on the data type.
# Instead: write with photometric='RGB' (or 'MINISBLACK'); in a file that is already so,
#     set src.colorinterp with mode 'r+'.
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


def written(dtype, **options):
    bands = np.stack([np.full((64, 64), v, dtype) for v in (30, 80, 50, 0)])
    with rasterio.open(
        'rgbn.tif', 'w', driver='GTiff', height=64, width=64, count=4, dtype=dtype,
        crs='EPSG:32632', transform=from_origin(500_000, 5_000_000, 1, 1), **options,
    ) as dst:
        dst.write(bands)
    with rasterio.open('rgbn.tif') as src:
        masked = float((src.dataset_mask() == 0).mean())
        return src.colorinterp[3].name, masked


seen = [written('uint8'), written('uint16'), written('uint8', photometric='RGB')]
for name, (band, masked) in zip(('uint8', 'uint16', 'uint8, photometric RGB'), seen):
    print(f'{name}: fourth band is {band}, masked {masked:.0%}')
if seen != [('alpha', 1.0), ('undefined', 0.0), ('undefined', 0.0)]:
    sys.exit('changed: the fourth band is declared in another way')
PY
