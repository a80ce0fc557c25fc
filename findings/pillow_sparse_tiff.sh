#!/usr/bin/env bash
# pillow 13.0.0 and rasterio 1.4.4 (GDAL 3.10.3)
# Behaviour: GDAL's SPARSE_OK leaves out tiles that were never written. Where such a
#     file is uncompressed, Pillow shows the first bytes of the file itself, header and
#     tags, as the pixels of a missing tile.
# Seen: a missing tile starts with 73 73 42 0, the bytes of 'II*\0' that open a
#     little-endian TIFF; rasterio and tifffile return zeros.
# Why it surprises: no error and no warning, the picture has the right size and the
#     written tiles are right, so a mosaic's empty corner turns into noise.
# Instead: read sparse TIFFs by rasterio or tifffile, or write them without SPARSE_OK.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    pillow==13.0.0 \
    rasterio==1.4.4 \
    tifffile==2026.3.3 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys
import warnings

import numpy as np
import rasterio
import tifffile
from PIL import Image

warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
with rasterio.open(
    'sparse.tif', 'w', driver='GTiff', height=512, width=512, count=1, dtype='uint8',
    tiled=True, blockxsize=256, blockysize=256, SPARSE_OK=True,
) as dst:
    dst.write(np.full((256, 256), 7, 'uint8'), 1, window=((0, 256), (0, 256)))

with Image.open('sparse.tif') as image:
    by_pillow = np.asarray(image)
with rasterio.open('sparse.tif') as src:
    by_gdal = src.read(1)
by_tifffile = tifffile.imread('sparse.tif')
with open('sparse.tif', 'rb') as file:
    first_bytes = list(file.read(8))
print('first bytes of the file:   ', first_bytes)
print('missing tile by Pillow:    ', by_pillow[0, 256:264].tolist())
print('missing tile by rasterio:  ', by_gdal[0, 256:264].tolist())
print('missing tile by tifffile:  ', by_tifffile[0, 256:264].tolist())
print('written tile by Pillow:    ', by_pillow[0, :8].tolist())
if by_pillow[0, 256:264].tolist() != first_bytes:
    sys.exit('changed: Pillow no longer shows the header in place of missing tiles')
if by_gdal[:, 256:].any() or by_tifffile[:, 256:].any():
    sys.exit('changed: the other readers do not return zeros')
PY
