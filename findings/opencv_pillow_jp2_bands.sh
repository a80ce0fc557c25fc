#!/usr/bin/env bash
# opencv-python-headless 4.12.0.88 (5.0.0.93 alike), pillow 13.0.0, rasterio 1.4.4
# Behaviour: of a JPEG 2000 with three bands that are not declared as red, green, blue
#     (GDAL's default), OpenCV returns the first band three times and Pillow says
#     "broken data stream".
# Seen: bands (30, 80, 50): OpenCV (30, 30, 30); Pillow OSError; after dst.colorinterp =
#     red, green, blue both read (30, 80, 50).
# Why it surprises: the file is sound, GDAL reads it, and one reader calls it broken
#     while the other shows a grey picture of the right shape.
# Instead: set the colour interpretation when writing, or read JPEG 2000 by rasterio.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    opencv-python-headless==4.12.0.88 \
    pillow==13.0.0 \
    rasterio==1.4.4 \
    numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys
import warnings

import cv2
import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
bands = np.stack([np.full((64, 64), v, 'uint8') for v in (30, 80, 50)])


def by_pillow(path):
    try:
        with Image.open(path) as image:
            return np.asarray(image)[0, 0].tolist()
    except OSError as error:
        return str(error)


def readings(path, colours=None):
    with rasterio.open(
        path, 'w', driver='JP2OpenJPEG', height=64, width=64, count=3, dtype='uint8',
        QUALITY='100', REVERSIBLE='YES',
    ) as dst:
        if colours:
            dst.colorinterp = colours
        dst.write(bands)
    with rasterio.open(path) as src:
        assert (src.read() == bands).all()
    by_opencv = cv2.imread(path, cv2.IMREAD_UNCHANGED)[0, 0, ::-1].tolist()
    return by_opencv, by_pillow(path)


plain = readings('plain.jp2')
rgb = readings('rgb.jp2', [ColorInterp.red, ColorInterp.green, ColorInterp.blue])
print('written: [30, 80, 50]')
print('undeclared bands: OpenCV', plain[0], '| Pillow', plain[1])
print('declared as RGB:  OpenCV', rgb[0], '| Pillow', rgb[1])
if plain[0] != [30, 30, 30] or 'broken' not in plain[1] or rgb != ([30, 80, 50],) * 2:
    sys.exit('changed: three plain bands of JPEG 2000 are read in another way')
PY
