#!/usr/bin/env bash
# opencv-python-headless 4.12.0.88 (5.0.0.93 alike) and rasterio 1.4.4
# Behaviour: cv2.imread(path, cv2.IMREAD_UNCHANGED) of a three-band GeoTIFF as rasterio
#     writes it by default mixes uint16 bands into one grey image; of a float32 file
#     with interleave='band' it returns the first band three times.
# Seen: bands (3000, 8000, 5000): uint16 -> shape (16, 16), 6163; float32 by band ->
#     (3000, 3000, 3000); float32 by pixel -> (3000, 8000, 5000).
# Why it surprises: both come without a word, the flag says "unchanged", the shape looks
#     right in the second case, and the layout of the bands in the file should not
#     matter.
# Instead: read multi-band rasters by rasterio; for OpenCV write uint16 with
#     photometric='RGB' and interleave='pixel'.
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


def read(dtype, **options):
    bands = np.stack([np.full((16, 16), v, dtype) for v in (3000, 8000, 5000)])
    with rasterio.open(
        'image.tif', 'w', driver='GTiff', height=16, width=16, count=3, dtype=dtype,
        **options,
    ) as dst:
        dst.write(bands)
    image = cv2.imread('image.tif', cv2.IMREAD_UNCHANGED)
    pixel = image[0, 0].tolist()
    return pixel[::-1] if image.ndim == 3 else pixel


cases = {
    'uint16, default': read('uint16'),
    'uint16, photometric RGB': read('uint16', photometric='RGB'),
    'float32, by pixel': read('float32', interleave='pixel'),
    'float32, by band': read('float32', interleave='band'),
}
for name, pixel in cases.items():
    print(f'{name}: {pixel}')
right = [3000, 8000, 5000]
if list(cases.values()) != [6163, right, right, [3000] * 3]:
    sys.exit('changed: OpenCV reads multi-band TIFFs in another way')
PY
