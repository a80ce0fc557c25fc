#!/usr/bin/env bash
# onedl-mmsegmentation 1.4.2 (with onedl-mmcv 2.3.6, torch 2.13.0)
# Behaviour: the transforms CLAHE and AdjustGamma keep the low byte of 16-bit images.
# Seen: CLAHE of two images, one of values v, one of v + 256: the results are equal, of
#     dtype uint16. AdjustGamma too, of dtype uint8.
# Why it surprises: both transforms are documented for images without a word about 8
#     bits, nothing is raised, CLAHE even returns uint16; 300 and 44 become the same
#     grey.
# Instead: bring 16-bit images to 8 bits before these transforms, or leave them out.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.13.0 \
    numpy==2.4.6 \
    setuptools \
    wheel \
    packaging \
    ninja
MMCV_WITH_OPS=0 "$tmp/venv/bin/pip" install -q --no-build-isolation \
    onedl-mmcv==2.3.6 onedl-mmengine==0.10.12 onedl-mmsegmentation==1.4.2 ftfy regex
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import numpy as np
from mmseg.datasets.transforms import CLAHE, AdjustGamma

low = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype('uint16')
high = low + 256
same = {}
for transform in (CLAHE(), AdjustGamma(gamma=1.2)):
    one, other = (transform({'img': x.copy()})['img'] for x in (low, high))
    name = type(transform).__name__
    same[name] = bool((one == other).all())
    print(f'{name}: values up to {high.max()} give {other.dtype} up to {other.max()}, '
          f'equal to the image 256 lower: {same[name]}')
if not all(same.values()):
    sys.exit('changed: 16-bit images are no longer cut to their low byte')
PY
