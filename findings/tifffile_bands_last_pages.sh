#!/usr/bin/env bash
# tifffile 2026.3.3 and rasterio 1.4.4 (GDAL 3.10.3)
# Behaviour: tifffile.imwrite() of an array (height, width, 5) writes `height` pages of
#     width x 5 pixels. GDAL opens the first page: one band, `width` rows, 5 columns.
# Seen: (20, 30, 5) -> rasterio count 1, shape (30, 5); (20, 30, 4) -> count 4, shape
#     (20, 30); tifffile.imread returns (20, 30, 5) in both cases.
# Why it surprises: four bands and five bands of the same image end in different files,
#     tifffile reads its own file back without loss, and GDAL gives a valid raster of
#     the wrong size with one band.
# Instead: imwrite(path, array, photometric='minisblack', planarconfig='contig'), or
#     write by rasterio.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q tifffile==2026.3.3 rasterio==1.4.4 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys
import warnings

import numpy as np
import rasterio
import tifffile

warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)


def reading(bands, **options):
    image = np.zeros((20, 30, bands), 'uint8')
    tifffile.imwrite('image.tif', image, **options)
    assert tifffile.imread('image.tif').shape == image.shape
    with rasterio.open('image.tif') as src:
        return src.count, src.shape


four, five = reading(4), reading(5)
asked = reading(5, photometric='minisblack', planarconfig='contig')
cases = {'4 bands': four, '5 bands': five, '5 bands, options given': asked}
for name, (count, shape) in cases.items():
    print(f'{name}: rasterio count {count}, shape {shape}')
if (four, five, asked) != ((4, (20, 30)), (1, (30, 5)), (5, (20, 30))):
    sys.exit('changed: bands in the last axis are written or read in another way')
PY
