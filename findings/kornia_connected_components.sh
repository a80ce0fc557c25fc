#!/usr/bin/env bash
# kornia 0.9.0 (torch 2.13.0)
# Behaviour: kornia.contrib.connected_components() gives one long object many labels
#     when it is longer than num_iterations, 100 by default.
# Seen: one straight road of 600 pixels: 500 labels; with num_iterations=1000: 1 label.
# Why it surprises: the function is named for a question with one answer, nothing warns
#     that it stopped early, and roads and rivers are as long as their tile.
# Instead: set num_iterations to the longest way within an object, or use
#     scipy.ndimage.label or cv2.connectedComponents.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 kornia==0.9.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import torch
from kornia.contrib import connected_components

mask = torch.zeros(1, 1, 5, 600)
mask[..., 2, :] = 1
objects = {}
for iterations in (100, 1000):
    labels = connected_components(mask, num_iterations=iterations)
    objects[iterations] = len(labels[mask > 0].unique())
    print(f'one road, {iterations} iterations: {objects[iterations]} labels')
default = len(connected_components(mask)[mask > 0].unique())
if default != objects[100] or default < 100 or objects[1000] != 1:
    sys.exit('changed: one long object is labelled in another way')
PY
