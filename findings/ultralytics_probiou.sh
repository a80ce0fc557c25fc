#!/usr/bin/env bash
# ultralytics 8.4.190 (torch 2.14.1)
# Behaviour: oriented boxes are matched and suppressed by ProbIoU, which compares two
#     Gaussians, not two boxes; the mAP50 of oriented models uses it as well.
# Seen: a square and the same turned by 45 degrees: 1.00 (area 0.71); ships of 100 x 10
#     end to end without overlap: 0.12 (area 0.00); shifted along by 40: 0.54 (area
#     0.43).
# Why it surprises: the name and the report say IoU and mAP50, and ships that reach 0.5
#     here do not reach it in the evaluation of DOTA.
# Instead: score oriented boxes with the polygon IoU of the benchmark before comparing
#     figures with other toolboxes.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.14.1 \
    torchvision==0.29.1 \
    ultralytics==8.4.190 \
    shapely==2.2.0
export YOLO_CONFIG_DIR="$tmp"
cd "$tmp"
venv/bin/python - <<'PY'
import math
import sys

import torch
from shapely import affinity
from shapely.geometry import box
from ultralytics.utils.metrics import batch_probiou


def polygon(x, y, width, height, angle):
    plain = box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return affinity.rotate(plain, angle, use_radians=True)


def ious(one, other):
    a, b = polygon(*one), polygon(*other)
    area = a.intersection(b).area / a.union(b).area
    prob = float(batch_probiou(torch.tensor([one]), torch.tensor([other])))
    return round(prob, 2), round(area, 2)


ship = (50.0, 50.0, 100.0, 10.0, 0.0)
pairs = {
    'square, turned by 45 degrees': ((50.0, 50.0, 10.0, 10.0, 0.0),
                                     (50.0, 50.0, 10.0, 10.0, math.pi / 4)),
    'ships end to end': (ship, (150.0, 50.0, 100.0, 10.0, 0.0)),
    'ships 40 pixels apart': (ship, (90.0, 50.0, 100.0, 10.0, 0.0)),
}
seen = [ious(*pair) for pair in pairs.values()]
for name, (prob, area) in zip(pairs, seen):
    print(f'{name}: ProbIoU {prob:.2f}, area {area:.2f}')
if seen != [(1.0, 0.71), (0.12, 0.0), (0.54, 0.43)]:
    sys.exit('changed: oriented boxes are compared in another way')
PY
