#!/usr/bin/env bash
# albumentations 2.0.8 (opencv-python-headless 5.0.0.93; with 4.12 MedianBlur raises an
#     error instead)
# Behaviour: MedianBlur and AutoContrast of a uint16 image return float32 values of 0 to
#     255, and all that was brighter than 255 ends at 255 in the first;
#     RandomBrightnessContrast shifts uint16 by a share of 65,535; GaussianBlur of a
#     float32 image of digital numbers returns 1 everywhere.
# Seen: an image of 3000 to 3999: median 255, dtype float32; brightness -0.1: 0;
#     Gaussian blur of the same values as float32: 1.
# Why it surprises: the transforms take the types without a word, others of the same
#     library (GaussianBlur of uint16, Blur of float32) keep the values, and a blur is
#     not expected to know the range of its input.
# Instead: scale images to float32 within [0, 1] first, with a maximum of your own
#     (A.ToFloat(max_value=10000)).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    albumentations==2.0.8 \
    opencv-python-headless==5.0.0.93 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import os
import sys

os.environ['NO_ALBUMENTATIONS_UPDATE'] = '1'
import albumentations as A
import numpy as np

grey = np.linspace(3000, 3999, 1024).reshape(32, 32, 1).repeat(3, 2)
darker = A.RandomBrightnessContrast((-0.1, -0.1), (0, 0), p=1)
cases = {
    'MedianBlur, uint16': (A.MedianBlur(p=1), 'uint16'),
    'AutoContrast, uint16': (A.AutoContrast(p=1), 'uint16'),
    'brightness -0.1, uint16': (darker, 'uint16'),
    'GaussianBlur, uint16': (A.GaussianBlur(p=1), 'uint16'),
    'GaussianBlur, float32': (A.GaussianBlur(p=1), 'float32'),
    'Blur, float32': (A.Blur(p=1), 'float32'),
}
seen = []
for name, (transform, dtype) in cases.items():
    out = transform(image=grey.astype(dtype))['image']
    print(f'{name}: {out.dtype}, {out.min():.0f} to {out.max():.0f}')
    seen.append((str(out.dtype), round(float(out.min())), round(float(out.max()))))
median, contrast, brightness, gauss_16, gauss_float, box_float = seen
if median != ('float32', 255, 255) or contrast[0] != 'float32':
    sys.exit('changed: MedianBlur or AutoContrast of uint16')
if brightness[1:] != (0, 0) or gauss_float[1:] != (1, 1):
    sys.exit('changed: brightness of uint16 or GaussianBlur of float32')
if gauss_16[1] < 3000 or box_float[1] < 3000:
    sys.exit('changed: the transforms that kept the values')
PY
