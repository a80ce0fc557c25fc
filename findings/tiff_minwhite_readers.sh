#!/usr/bin/env bash
# rasterio 1.4.4, tifffile 2026.3.3, pillow 13.0.0, opencv-python-headless 4.12.0.88
# Behaviour: a grey TIFF whose tag says that 0 is white (photometric MINISWHITE, usual
#     for scanned aerial photographs) is inverted by Pillow and OpenCV and returned as
#     stored by rasterio and tifffile.
# Seen: stored 55: Pillow 200, OpenCV 200, rasterio 55, tifffile 55.
# Why it surprises: four usual readers give two pictures, one the negative of the other,
#     without a word; rasterio even names the band's colour "undefined". A model trained
#     through one reader sees negatives through the other.
# Instead: with rasterio look at tags(ns='IMAGE_STRUCTURE')['MINISWHITE'], with tifffile
#     at page.photometric, and invert pictures (not masks) yourself.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    rasterio==1.4.4 \
    tifffile==2026.3.3 \
    pillow==13.0.0 \
    opencv-python-headless==4.12.0.88 \
    numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import os
import sys
import warnings

os.environ['OPENCV_LOG_LEVEL'] = 'ERROR'
import cv2
import numpy as np
import rasterio
import tifffile
from PIL import Image

warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
with rasterio.open(
    'photo.tif', 'w', driver='GTiff', height=16, width=16, count=1, dtype='uint8',
    photometric='MINISWHITE',
) as dst:
    dst.write(np.full((1, 16, 16), 55, 'uint8'))

with rasterio.open('photo.tif') as src:
    tag = src.tags(ns='IMAGE_STRUCTURE').get('MINISWHITE')
    seen = {'rasterio': int(src.read(1)[0, 0])}
seen['tifffile'] = int(tifffile.imread('photo.tif')[0, 0])
with Image.open('photo.tif') as image:
    seen['pillow'] = int(np.asarray(image)[0, 0])
seen['opencv'] = int(cv2.imread('photo.tif', cv2.IMREAD_UNCHANGED)[0, 0])
print('stored: 55, rasterio tag MINISWHITE:', tag)
print(seen)
if seen != {'rasterio': 55, 'tifffile': 55, 'pillow': 200, 'opencv': 200}:
    sys.exit('changed: the readers agree in another way')
PY
