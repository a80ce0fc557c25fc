#!/usr/bin/env bash
# opencv-python-headless 4.12.0.88 (5.0.0.93 alike) and rasterio 1.4.4
# Behaviour: cv2.imread(path, cv2.IMREAD_UNCHANGED) of a four-band uint8 GeoTIFF whose
#     fourth band is tagged alpha, which is rasterio's default for four uint8 bands,
#     returns red, green and blue multiplied by the fourth band / 255.
# Seen: written (30, 80, 50, 90), read as (11, 28, 18, 90). With photometric='RGB', and
#     as a PNG with alpha: (30, 80, 50, 90).
# Why it surprises: "unchanged" changes three of four bands, a PNG of the same pixels is
#     not changed, and for red, green, blue and infrared the factor is the vegetation.
# Instead: read multi-band rasters by rasterio, or write them with photometric='RGB'.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    opencv-python-headless==4.12.0.88 \
    rasterio==1.4.4 \
    numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys
import warnings

import cv2
import numpy as np
import rasterio

warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
bands = np.stack([np.full((16, 16), v, 'uint8') for v in (30, 80, 50, 90)])


def read(path, driver, **options):
    with rasterio.open(
        path, 'w', driver=driver, height=16, width=16, count=4, dtype='uint8', **options
    ) as dst:
        dst.write(bands)
    blue, green, red, fourth = cv2.imread(path, cv2.IMREAD_UNCHANGED)[0, 0].tolist()
    return red, green, blue, fourth


default = read('default.tif', 'GTiff')
plain = read('plain.tif', 'GTiff', photometric='RGB')
png = read('alpha.png', 'PNG')
print('written:', tuple(bands[:, 0, 0].tolist()))
print('GeoTIFF, default:', default)
print('GeoTIFF, photometric RGB:', plain)
print('PNG:', png)
if default != (11, 28, 18, 90) or plain != (30, 80, 50, 90) or png != plain:
    sys.exit('changed: OpenCV reads four-band TIFFs in another way')
PY
