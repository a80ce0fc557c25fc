#!/usr/bin/env bash
# pillow 13.0.0
# Behaviour: 16-bit colour JPEG 2000, PPM and PNG open as 8-bit RGB without a warning;
#     each value keeps its high byte only.
# Seen: (3000, 800, 500) becomes (12, 3, 2) from JP2 and PPM, (11, 3, 1) from PNG, while
#     a grey 16-bit PNG keeps 3000.
# Why it surprises: grey 16-bit images keep their values, colour ones lose them, and
#     three formats round in two ways. Satellite values of 0 to 4000 end in 0 to 16.
# Instead: read 16-bit colour by rasterio or cv2.imread(path, cv2.IMREAD_UNCHANGED).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    pillow==13.0.0 \
    opencv-python-headless==4.12.0.88 \
    numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
from PIL import Image

rgb = np.full((32, 32, 3), (3000, 800, 500), 'uint16')
seen = {}
for suffix in ('jp2', 'ppm', 'png'):
    path = f'colour.{suffix}'
    cv2.imwrite(path, rgb[..., ::-1])
    assert (cv2.imread(path, cv2.IMREAD_UNCHANGED)[..., ::-1] == rgb).all()
    with Image.open(path) as image:
        seen[suffix] = image.mode, np.asarray(image)[0, 0].tolist()
cv2.imwrite('grey.png', rgb[..., 0])
with Image.open('grey.png') as image:
    seen['grey png'] = image.mode, int(np.asarray(image)[0, 0])
print('written: (3000, 800, 500), grey 3000')
for name, (mode, value) in seen.items():
    print(f'{name}: mode {mode}, {value}')
expected = {
    'jp2': ('RGB', [12, 3, 2]),
    'ppm': ('RGB', [12, 3, 2]),
    'png': ('RGB', [11, 3, 1]),
    'grey png': ('I;16', 3000),
}
if seen != expected:
    sys.exit('changed: Pillow reads 16-bit colour in another way')
PY
