#!/usr/bin/env bash
# segmentation-models-pytorch 0.6.0, torchmetrics 1.9.0 (torch 2.14.1)
# Behaviour: smp.metrics.iou_score(..., reduction='macro') gives a class that is neither
#     in the labels nor predicted an IoU of 1 and counts it in the mean; torchmetrics'
#     MulticlassJaccardIndex leaves it out.
# Seen: the same prediction with 5 classes, 2 of them absent: smp 0.733, torchmetrics
#     0.556; with 100 classes declared, 97 absent: smp 0.987, torchmetrics 0.556.
# Why it surprises: the score rises with the number of classes that do not occur, so a
#     small validation set, or a region without snow and mangroves, scores better.
# Instead: sum the counts of get_stats over the images, drop the classes whose counts
#     are all 0, and average the rest.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.14.1 \
    torchvision==0.29.1 \
    segmentation-models-pytorch==0.6.0 \
    torchmetrics==1.9.0 \
    numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import torch
from segmentation_models_pytorch.metrics import get_stats, iou_score
from torchmetrics.classification import MulticlassJaccardIndex

label = torch.zeros(1, 16, 8, dtype=torch.long)
label[:, :8, :4] = 1
prediction = label.clone()
prediction[:, 8:12] = 2

seen = {}
for classes in (3, 5, 100):
    stats = get_stats(prediction, label, mode='multiclass', num_classes=classes)
    smp = float(iou_score(*stats, reduction='macro'))
    jaccard = float(MulticlassJaccardIndex(classes)(prediction, label))
    seen[classes] = round(smp, 3), round(jaccard, 3)
    print(f'{classes} classes, {classes - 3} absent: smp {smp:.3f}, '
          f'torchmetrics {jaccard:.3f}')
if seen != {3: (0.556, 0.556), 5: (0.733, 0.556), 100: (0.987, 0.556)}:
    sys.exit('changed: absent classes are counted in another way')
PY
