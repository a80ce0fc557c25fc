#!/usr/bin/env bash
# cleanvision 0.3.7 (pillow 13.0.0)
# Behaviour: any 16-bit grey images brighter than 255 are reported as near duplicates of
#     each other and as too light.
# Seen: five random 16-bit images of 300 to 9,000: 5 near duplicates, 5 light; the same
#     pictures scaled to 8 bits: none.
# Why it surprises: nothing says that 16 bits are not supported. Pillow's convert('RGB')
#     clips 16-bit grey at 255 instead of scaling it, so each picture is plain white
#     when it is hashed. Other hashing tools that open files this way (imagededup
#     0.3.3.post2 was tried) find the same duplicates.
# Instead: write 8-bit copies, scaled by percentiles, for such checks.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    cleanvision==0.3.7 \
    pillow==13.0.0 \
    opencv-python-headless==4.12.0.88 \
    numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import os
import sys

import cv2
import numpy as np
from cleanvision import Imagelab

rng = np.random.default_rng(0)
for folder in ('bits16', 'bits8'):
    os.mkdir(folder)
for i in range(5):
    coarse = rng.uniform(300, 9000, (8, 8)).astype('float32')
    picture = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(f'bits16/{i}.png', picture.astype('uint16'))
    cv2.imwrite(f'bits8/{i}.png', (picture * 255 / 9000).astype('uint8'))

seen = {}
for folder in ('bits16', 'bits8'):
    lab = Imagelab(data_path=folder, verbose=False)
    lab.find_issues({'near_duplicates': {}, 'light': {}}, n_jobs=1, verbose=False)
    table = lab.issue_summary.set_index('issue_type').num_images
    seen[folder] = int(table['near_duplicates']), int(table['light'])
    print(f'{folder}: {seen[folder][0]} near duplicates, {seen[folder][1]} light')
if seen != {'bits16': (5, 5), 'bits8': (0, 0)}:
    sys.exit('changed: 16-bit images are hashed in another way')
PY
