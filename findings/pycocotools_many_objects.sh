#!/usr/bin/env bash
# pycocotools 2.0.11 (faster-coco-eval 1.8.0 for comparison)
# Behaviour: COCOeval scores at most 100 detections per image. With params.maxDets = [1,
#     10, 500] the first figure, AP, is -1 while AP50 and AP75 are right.
# Seen: 300 cars in an image, all found exactly: AP 0.337 by default; AP -1 and AP50 1.0
#     with 500; faster-coco-eval's COCOeval_faster: AP 1.0 with 500.
# Why it surprises: the limit is the documented parameter to raise for aerial images,
#     and only one of the summary's lines keeps looking for 100. -1 is also the value
#     for "no object of this kind", and torchmetrics hands it on as `map`.
# Instead: average e.eval['precision'][..., -1] yourself, or use faster-coco-eval.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q pycocotools==2.0.11 faster-coco-eval==1.8.0 numpy==2.2.6
cd "$tmp"
venv/bin/python - <<'PY'
import contextlib
import io
import sys

from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[i % 20 * 40, i // 20 * 40, 10, 10] for i in range(300)]
truth = {
    'info': {},
    'images': [{'id': 1, 'width': 1024, 'height': 1024}],
    'categories': [{'id': 1, 'name': 'car'}],
    'annotations': [
        {'id': i + 1, 'image_id': 1, 'category_id': 1, 'bbox': b, 'area': 100,
         'iscrowd': 0}
        for i, b in enumerate(boxes)
    ],
}
found = [{'image_id': 1, 'category_id': 1, 'bbox': b, 'score': 0.9} for b in boxes]


def ap(limit, coco=COCO, evaluation=COCOeval):
    with contextlib.redirect_stdout(io.StringIO()):
        truths = coco()
        truths.dataset = truth
        truths.createIndex()
        score = evaluation(truths, truths.loadRes(found), 'bbox')
        score.params.maxDets = [1, 10, limit]
        score.evaluate()
        score.accumulate()
        score.summarize()
    return round(float(score.stats[0]), 3), round(float(score.stats[1]), 3)


default, raised = ap(100), ap(500)
faster = ap(500, FasterCOCO, COCOeval_faster)
print('300 exact detections of 300 cars')
print('limit 100: AP, AP50 =', default)
print('limit 500: AP, AP50 =', raised)
print('limit 500, faster-coco-eval: AP, AP50 =', faster)
if (default, raised, faster) != ((0.337, 0.337), (-1.0, 1.0), (1.0, 1.0)):
    sys.exit('changed: the summary with more than 100 detections')
PY
