#!/usr/bin/env bash
# torchvision 0.29.1 (torch 2.14.1, pillow 13.0.0)
# Behaviour: transforms.ToTensor() of a 16-bit grey image returns int16, so values above
#     32767 become negative, and nothing is scaled to [0, 1].
# Seen: 40000 -> -25536, dtype torch.int16; pil_to_tensor() gives 40000, torch.uint16.
# Why it surprises: ToTensor is known to scale images to [0, 1]; the same file through
#     pil_to_tensor of the same library keeps its values.
# Instead: v2.PILToTensor() and v2.ToDtype(torch.float32, scale=True).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.14.1 \
    torchvision==0.29.1 \
    pillow==13.0.0 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import ToTensor, v2

Image.fromarray(np.array([[1000, 40000]], 'uint16')).save('tile.png')
with Image.open('tile.png') as image:
    image.load()
old = ToTensor()(image)
new = v2.PILToTensor()(image)
scaled = v2.ToDtype(torch.float32, scale=True)(new)
print('stored:', [1000, 40000], 'mode', image.mode)
print('ToTensor:', old.flatten().tolist(), old.dtype)
print('v2.PILToTensor:', new.flatten().tolist(), new.dtype)
print('and v2.ToDtype(float32, scale=True):', scaled.flatten().tolist())
if old.flatten().tolist() != [1000, -25536] or new.flatten().tolist() != [1000, 40000]:
    sys.exit('changed: ToTensor reads 16-bit images in another way')
PY
