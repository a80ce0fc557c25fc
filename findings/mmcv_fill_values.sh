#!/usr/bin/env bash
# onedl-mmcv 2.3.6 (opencv-python 4.12.0.88)
# Behaviour: mmcv.impad(image, pad_val=255) and mmcv.imrotate(image, border_value=255)
#     fill the first channel with 255 and the others with 0; mmcv.imtranslate with
#     border_value=255 fills three of four channels.
# Seen: impad of 3 channels -> [255, 0, 0]; imrotate of 6 -> [255, 0, 0, 0, 255, 0];
#     imtranslate of 6 -> [255, 255, 255, 0, 255, 255].
# Why it surprises: a single number is documented as allowed, grey images hide it, the
#     three functions differ, and multispectral images get a pattern of four channels.
# Instead: give one value per channel (up to four); for more channels use numpy.pad, and
#     turn the bands in groups of four or fewer.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.13.0 \
    numpy==2.2.6 \
    opencv-python==4.12.0.88 \
    setuptools \
    wheel \
    packaging \
    ninja
MMCV_WITH_OPS=0 "$tmp/venv/bin/pip" install -q --no-build-isolation \
    onedl-mmcv==2.3.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import mmcv
import numpy as np


def image(channels):
    return np.full((8, 8, channels), 7, 'uint8')


padded = mmcv.impad(image(3), shape=(8, 10), pad_val=255)[0, -1].tolist()
rotated = mmcv.imrotate(image(6), 45, border_value=255)[0, 0].tolist()
moved = mmcv.imtranslate(image(6), 2, border_value=255)[0, 0].tolist()
print('impad, 3 channels:      ', padded)
print('imrotate, 6 channels:   ', rotated)
print('imtranslate, 6 channels:', moved)
if (padded, rotated, moved) != (
    [255, 0, 0], [255, 0, 0, 0, 255, 0], [255, 255, 255, 0, 255, 255]
):
    sys.exit('changed: a single fill value fills other channels than before')
PY
