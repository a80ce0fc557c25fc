#!/usr/bin/env bash
# onedl-mmsegmentation 1.4.2 (with onedl-mmcv 2.3.6, torch 2.13.0)
# Behaviour: CrossEntropyLoss averages over all pixels, ignored ones included; as soon
#     as class_weight is given, over the labelled ones only. avg_non_ignore=True, which
#     is meant for that, raises an IndexError together with class_weight.
# Seen: three of four pixels ignored: loss 0.275 without class_weight, 1.099 with
#     class_weight=[1, 1, 1]; with avg_non_ignore=True 1.099 and an IndexError.
# Why it surprises: weights of one should change nothing; on sparse labels they raise
#     the loss, and its share against auxiliary losses, and this looks like an effect of
#     the weights.
# Instead: set avg_non_ignore=True for runs without class weights that are compared with
#     weighted ones, and leave it at False with class_weight: both then average over the
#     labelled pixels.
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
from mmseg.models.losses import CrossEntropyLoss

scores = torch.zeros(1, 3, 8, 8)
label = torch.full((1, 8, 8), 255)
label[:, :4, :4] = torch.arange(16).reshape(4, 4) % 3


def loss(**options):
    try:
        criterion = CrossEntropyLoss(**options)
        return round(float(criterion(scores, label, ignore_index=255)), 3)
    except IndexError as error:
        return f'IndexError: {error}'


seen = {}
for non_ignore in (False, True):
    for weight in (None, [1.0, 1.0, 1.0]):
        options = {'avg_non_ignore': non_ignore, 'class_weight': weight}
        seen[non_ignore, weight is None] = loss(**options)
        print(f'{options}: {seen[non_ignore, weight is None]}')
plain, weighted = seen[False, True], seen[False, False]
if (plain, weighted, seen[True, True]) != (0.275, 1.099, 1.099):
    sys.exit('changed: class weights of one no longer change the loss')
if not str(seen[True, False]).startswith('IndexError'):
    sys.exit('changed: avg_non_ignore works with class_weight')
PY
