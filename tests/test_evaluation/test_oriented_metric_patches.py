"""s5_mm.OrientedMetric on patches and on real annotations."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmrotate', reason='part of the extra det')
from mmrotate.structures.bbox import qbox2rbox

from s5_mm.datasets.oriented import read_dota_text
from s5_mm.evaluation.oriented_ap import Detections, Objects

from .oriented import corners, random_image
from .oriented_samples import (
    CLASSES,
    FIGURES,
    expected,
    figures_of,
    pairs_of,
    sample_of,
)

DATA = os.environ.get('S5_MM_DATA')


# Whole images of 300x300 px, cut at 0 and 100 into patches of 200 px.
PLACES = [(x, y) for x in (0, 100) for y in (0, 100)]


def _cut(pairs, folder):
    """Patches as a detector sees them, and the texts of the whole images."""
    samples = []
    for i, (found, objects) in enumerate(pairs):
        lines = ['gsd:0.5']
        for box, label, ignored in zip(
            objects.bboxes, objects.labels, objects.ignored, strict=True
        ):
            points = ' '.join(repr(value) for point in corners(box) for value in point)
            lines.append(f'{points} {CLASSES[label]} {int(ignored)}')
        (folder / f'P{i}.txt').write_text('\n'.join(lines))
        for x, y in PLACES:
            inside = (found.bboxes[:, :2] >= (x, y)).all(1)
            inside &= (found.bboxes[:, :2] < (x + 200, y + 200)).all(1)
            sample = sample_of(found, objects, img_path=f'p/P{i}__200__{x}___{y}.png')
            shift = torch.tensor([x, y, 0, 0, 0])
            pred = sample.pred_instances[torch.from_numpy(inside)]
            pred.bboxes = pred.bboxes - shift
            sample.pred_instances = pred
            samples.append(sample)
    return samples


def test_patches_are_compared_with_the_objects_of_whole_images(tmp_path, logged):
    rng = np.random.default_rng(5)
    pairs = [random_image(rng, 2, num_gts=10, side=300) for _ in range(3)]
    for found, _ in pairs:
        found.bboxes[:, :2] = found.bboxes[:, :2].clip(0, 299)
    samples = _cut(pairs, tmp_path)
    merge = dict(iou_thr=0.999, ann_dir=str(tmp_path))  # what was found twice alone
    got = figures_of(samples, merge=merge)
    # Boxes that the detector had repeated go too.
    unique = []
    for found, objects in pairs:
        order = np.argsort(-found.scores)
        rows = np.column_stack((found.bboxes, found.labels))[order]
        first = order[np.sort(np.unique(rows, axis=0, return_index=True)[1])]
        kept = Detections(found.bboxes[first], found.scores[first], found.labels[first])
        unique.append((kept, objects))
    for figure, value in expected(unique, 3).items():
        assert got[figure] == pytest.approx(value, abs=0.0051)
    assert got != figures_of(samples)
    assert got['AP12'] != figures_of(samples, merge=dict(merge, iou_thr=0.1))['AP12']

    # A patch that stands in for one that cannot be read is no error.
    assert figures_of([*samples, samples[0]], merge=merge) == got

    (tmp_path / 'P7.txt').write_text('')
    logged.clear()
    assert figures_of(samples, merge=merge) == got
    assert "1 images have no patch and are left out of the figures, ['P7']" in logged[0]
    (tmp_path / 'P1.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'has no P1\.txt for the image P1'):
        figures_of(samples, merge=merge)


def test_without_whole_images_merging_makes_the_archive_alone(tmp_path):
    pairs = pairs_of(0, 2)
    samples = _cut(pairs, tmp_path)
    for sample in samples:
        del sample.gt_instances
    folder = tmp_path / 'sent'
    assert figures_of(samples, merge=dict(iou_thr=0.5), output_dir=str(folder)) == {}
    with zipfile.ZipFile(folder / 'Task1.zip') as archive:
        lines = archive.read('Task1_ship.txt').decode().splitlines()
    assert lines
    assert {line.split()[0] for line in lines} <= {'P0', 'P1'}
    samples[0].set_metainfo(dict(img_path='p/P0.png'))
    with pytest.raises(ValueError, match='P0: not the name of a patch'):
        figures_of(samples, merge={}, output_dir=str(folder))


@pytest.mark.skipif(not DATA, reason='S5_MM_DATA is not set')
def test_real_annotations_are_found_again(tmp_path):
    folder = Path(DATA) / 'dota8'
    files = sorted(folder.glob('*/annfiles/*.txt'))
    classes = sorted(
        {line.split()[8] for file in files for line in file.read_text().splitlines()}
    )
    samples, whole = [], {}
    for file in files:
        points, labels, difficulty = read_dota_text(file, classes)
        bboxes = qbox2rbox(torch.from_numpy(points.astype(np.float32))).numpy()
        found = Detections(
            bboxes, np.linspace(0.9, 0.5, len(labels), dtype=np.float32), labels
        )
        objects = Objects(bboxes, labels, difficulty > 0)
        samples.append(sample_of(found, objects, img_path=f'{file.stem}.jpg'))
        image, _, x, y = file.stem.replace('___', '__').split('__')
        moved = points + np.tile((int(x), int(y)), 4)
        whole[image] = '\n'.join(
            f'{" ".join(map(str, row))} {classes[k]} {d}'
            for row, k, d in zip(moved, labels, difficulty, strict=True)
        )
    for image, text in whole.items():
        (tmp_path / f'{image}.txt').write_text(text)
    perfect = dict.fromkeys(FIGURES, 100.0)
    assert len(samples) == 8
    assert figures_of(samples, classes) == perfect
    # No two objects overlap as much.
    merge = dict(iou_thr=0.7, ann_dir=str(tmp_path))
    assert figures_of(samples, classes, merge=merge) == perfect
