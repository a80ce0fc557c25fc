#!/usr/bin/env bash
# pycocotools 2.0.11
# Behaviour: an object whose annotation id is 0 is never found: COCOeval marks matches
#     by the id, and 0 also stands for "no match".
# Seen: two objects, both detected exactly: AP 1.0 with ids 1 and 2, AP 0.252 with 0 and
#     1.
# Why it surprises: nothing in the format forbids 0, ids from enumerate() start there,
#     and with many objects the loss is too small to be noticed; with one object per
#     class, as for rare classes, it is the whole score.
# Instead: number annotations from 1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q pycocotools==2.0.11 numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import contextlib
import io
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[100, 100, 20, 20], [300, 300, 20, 20]]
found = [{'image_id': 1, 'category_id': 1, 'bbox': b, 'score': 0.9} for b in boxes]


def ap(first_id):
    truths = COCO()
    truths.dataset = {
        'info': {},
        'images': [{'id': 1, 'width': 512, 'height': 512}],
        'categories': [{'id': 1, 'name': 'storage tank'}],
        'annotations': [
            {'id': first_id + i, 'image_id': 1, 'category_id': 1, 'bbox': b,
             'area': 400, 'iscrowd': 0}
            for i, b in enumerate(boxes)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truths.createIndex()
        score = COCOeval(truths, truths.loadRes(found), 'bbox')
        score.evaluate()
        score.accumulate()
        score.summarize()
    return round(float(score.stats[0]), 3)


from_one, from_zero = ap(1), ap(0)
print('two exact detections, ids from 1: AP', from_one)
print('two exact detections, ids from 0: AP', from_zero)
if (from_one, from_zero) != (1.0, 0.252):
    sys.exit('changed: annotation id 0 is scored in another way')
PY
