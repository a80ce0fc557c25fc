#!/usr/bin/env bash
# kornia 0.9.0 (torch 2.13.0)
# Behaviour: on float images RandomBrightness, RandomContrast, RandomSharpness and
#     RandomGamma clamp the result to [0, 1], whatever range came in.
# Seen: an image of 3,000 to 3,999: one value, 1.0 at most, from all four; its
#     RandomGaussianNoise and RandomGaussianBlur keep the range. torchvision's
#     ColorJitter and v2.GaussianNoise clamp alike (0.29.2 was tried).
# Why it surprises: reflectance as float32 digital numbers is ordinary input, every
#     pixel turns into the same value without a warning, and the rest of the pipeline
#     (flips, crops, blur) works, so training goes on with blank images.
# Instead: scale to [0, 1] before these transforms and normalize after them.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 kornia==0.9.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import torch
import kornia.augmentation as K

torch.manual_seed(0)
image = torch.linspace(3000, 3999, 1000).reshape(1, 1, 25, 40).repeat(1, 3, 1, 1)
clamping = {
    'RandomBrightness': K.RandomBrightness((0.8, 1.2), p=1.0),
    'RandomContrast': K.RandomContrast((0.8, 1.2), p=1.0),
    'RandomSharpness': K.RandomSharpness(p=1.0),
    'RandomGamma': K.RandomGamma(p=1.0),
}
keeping = {
    'RandomGaussianNoise': K.RandomGaussianNoise(p=1.0),
    'RandomGaussianBlur': K.RandomGaussianBlur((3, 3), (1.0, 1.0), p=1.0),
}
ranges = {}
for name, transform in (clamping | keeping).items():
    out = transform(image)
    ranges[name] = float(out.min()), float(out.max())
    print(f'{name}: {ranges[name][0]:.2f} to {ranges[name][1]:.2f}')
blank = all(low == high <= 1 for low, high in (ranges[n] for n in clamping))
kept = all(high - low > 900 for low, high in (ranges[n] for n in keeping))
if not (blank and kept):
    sys.exit('changed: other transforms clamp float images')
PY
