#!/usr/bin/env bash
# onedl-mmsegmentation 1.4.2 (with onedl-mmcv 2.3.6, torch 2.13.0)
# Behaviour: IoUMetric counts pixels by torch.histc in float32. A count stops at 2^24 =
#     16,777,216 pixels per class, image and thread: adding 1 no longer changes it.
# Seen: 6000 x 6000 pixels of class 0, 21 of 36 million predicted right, one thread: IoU
#     of class 0 is 100.0 %; torch.bincount gives 58.3 %.
# Why it surprises: the score of a wrong map is perfect, without a warning, and it
#     depends on the number of threads, which launchers set to one.
# Instead: score large maps in tiles below 16 million pixels, or count by
#     torch.bincount.
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

import torch
from mmseg.evaluation import IoUMetric

torch.set_num_threads(1)
label = torch.zeros(6000, 6000, dtype=torch.long)
prediction = label.clone()
prediction[:2500] = 1
intersect, union, _, _ = IoUMetric.intersect_and_union(prediction, label, 2, 255)
metric = 100 * float(intersect[0] / union[0])
counts = torch.bincount(2 * label.flatten() + prediction.flatten(), minlength=4)
exact = 100 * float(counts[0] / (counts[0] + counts[1] + counts[2]))
print(f'IoUMetric: intersection {int(intersect[0]):,}, IoU {metric:.1f} %')
print(f'bincount:  intersection {int(counts[0]):,}, IoU {exact:.1f} %')
if int(intersect[0]) != 2**24 or metric != 100:
    sys.exit('changed: IoUMetric counts more than 2^24 pixels')
PY
