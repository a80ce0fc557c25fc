"""Patches to whole images, their objects, and the files of a submission."""

import math
import zipfile

import numpy as np
import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

from s5_mm.evaluation.dota_submission import DotaSubmission
from s5_mm.evaluation.oriented_ap import Detections
from s5_mm.evaluation.patch_merging import Patch, PatchMerger, parse_patch_id
from s5_mm.evaluation.whole_image_objects import read_image_objects

from .oriented import corners, slow_iou

CLASSES = ('plane', 'small-vehicle', 'ship')


@pytest.mark.parametrize(
    ('name', 'field', 'want'),
    [
        ('P0001__1024__0___824', 'size', Patch('P0001', 1.0, 0, 824)),
        ('P0001__2048__1648___0', 'size', Patch('P0001', 1.0, 1648, 0)),
        ('a__b__512__7___9', 'size', Patch('a__b', 1.0, 7, 9)),
        ('P0001__1__0___824', 'rate', Patch('P0001', 1.0, 0, 824)),
        ('P0001__0.5__412___0', 'rate', Patch('P0001', 0.5, 412, 0)),
    ],
)
def test_place_is_read_from_the_name(name, field, want):
    assert parse_patch_id(name, field) == want


@pytest.mark.parametrize(
    'name',
    [
        'P0001',
        'P0001__0___824',
        'P0001__1024__0__824',
        'P0001__1024__-5___824',
        'P0001__1024__0___824_x',
        '__1024__0___824',
        'P0001__1024__٣___824',
    ],
)
def test_other_names_are_no_patches(name):
    with pytest.raises(ValueError, match=f'^{name}: not the name of a patch, expected'):
        parse_patch_id(name)


@pytest.mark.parametrize(
    ('name', 'field', 'said'),
    [
        ('P1__1__0___0', 'size', 'size 1 px, .* at least 16; rates need .*rate'),
        ('P1__0.5__0___0', 'size', r'size 0\.5 px'),
        ('P1__1024__0___0', 'rate', 'rate 1024, .* below 16; sizes .*size'),
        ('P1__0__0___0', 'rate', 'rate 0, allowed are rates above 0'),
    ],
)
def test_sizes_and_rates_are_not_mixed_up(name, field, said):
    with pytest.raises(ValueError, match=f'^{name}: {said}'):
        parse_patch_id(name, field)


@pytest.mark.parametrize('iou_thr', [0, 1.1, -0.1])
def test_merger_refuses_thresholds_out_of_range(iou_thr):
    with pytest.raises(ValueError, match=f'iou_thr={iou_thr}, expected above 0'):
        PatchMerger(iou_thr)


def test_merger_refuses_other_fields():
    with pytest.raises(ValueError, match="scale_field='gsd', allowed are 'size' and"):
        PatchMerger(scale_field='gsd')


def _found(*rows):
    rows = np.array(rows, np.float32).reshape(-1, 7)
    return Detections(rows[:, :5], rows[:, 5], rows[:, 6].astype(np.int64))


def test_patches_are_moved_and_what_was_found_twice_goes():
    whole = np.array([900, 700, 60, 30, 0.4])
    rows = {
        'a__1024__0___0': [(*whole, 0.7, 1)],
        'b__1024__0___0': [(*whole, 0.2, 1)],
        'a__1024__824___0': [
            (*(whole - (824, 0, 0, 0, 0)), 0.9, 1),
            (*(whole - (823, 0, 0, 0, 0)), 0.8, 2),  # of another class
        ],
        'a__1024__824___600': [(10, 900, 20, 20, 0, 0.95, 0)],
        'c__1024__0___0': [],
    }
    got = PatchMerger(0.1).merge({name: _found(*of) for name, of in rows.items()})
    assert list(got) == ['a', 'b', 'c']
    assert got['a'].labels.tolist() == [0, 1, 2]
    assert got['a'].scores == pytest.approx([0.95, 0.9, 0.8])
    assert np.allclose(got['a'].bboxes[0], (834, 1500, 20, 20, 0))
    assert np.allclose(got['a'].bboxes[1], whole, atol=1e-4)
    assert got['b'].scores.tolist() == pytest.approx([0.2])
    assert got['c'].bboxes.shape == (0, 5)
    # The patches themselves are as they were.
    again = PatchMerger(0.99).merge({name: _found(*of) for name, of in rows.items()})
    assert len(again['a'].labels) == 4 - 1  # 0.7 and 0.9 are the same box


def test_rates_are_undone():
    found = _found((100, 50, 40, 20, 0.4, 0.9, 0))
    merger = PatchMerger(0.5, scale_field='rate')
    got = merger.merge({'a__0.5__412___100': found, 'a__1__924___250': found})['a']
    assert np.allclose(got.bboxes[0], (1024, 300, 80, 40, 0.4))
    assert np.allclose(got.bboxes[1], (1024, 300, 40, 20, 0.4))
    assert found.bboxes[0, 0] == 100


TEXT = """imagesource:GoogleEarth
gsd:0.146343

100.0 100.0 160.0 100.0 160.0 130.0 100.0 130.0 plane 0
10.0 20.0 30.0 40.0 20.0 50.0 0.0 30.0 ship 1
50.5 50 60 50 60 90 50.5 90 ship
"""


def test_objects_of_a_whole_image(tmp_path):
    (tmp_path / 'P1.txt').write_text(TEXT)
    objects = read_image_objects(str(tmp_path), 'P1', CLASSES)
    assert objects.labels.tolist() == [0, 2, 2]
    assert objects.ignored.tolist() == [False, True, False]
    assert slow_iou(objects.bboxes[0], (130, 115, 60, 30, 0)) > 0.9999
    side, other = math.hypot(20, 20), math.hypot(10, 10)
    turned = (15, 35, side, other, math.pi / 4)
    assert slow_iou(objects.bboxes[1], turned) > 0.9999
    (tmp_path / 'P2.txt').write_text('')
    assert read_image_objects(str(tmp_path), 'P2', CLASSES).bboxes.shape == (0, 5)


def test_an_image_without_text_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'has no P9\.txt for the image P9'):
        read_image_objects(str(tmp_path), 'P9', CLASSES)


def test_a_line_that_cannot_be_read_is_named_and_one_without_area_is_kept(tmp_path):
    path = tmp_path / 'P1.txt'
    path.write_text('gsd:1\n1 2 3 4 5 6 7 8 boat 0\n')
    with pytest.raises(ValueError, match=r"P1\.txt: line 2: .*'boat'"):
        read_image_objects(str(tmp_path), 'P1', CLASSES)
    path.write_text('5 5 5 5 5 5 5 5 ship 0\n')
    objects = read_image_objects(str(tmp_path), 'P1', CLASSES)
    assert objects.labels.tolist() == [2]
    assert not objects.ignored.any()


def _lines(archive, name):
    with zipfile.ZipFile(archive) as opened:
        return opened.read(f'Task1_{name}.txt').decode().splitlines()


def test_files_hold_corners_and_scores_that_tell_the_ranks(tmp_path):
    scores = [np.float32(0.9), np.nextafter(np.float32(0.9), np.float32(1)), 1e-9]
    box = (50, 60, 40, 20, 0.3)
    found = _found(*((*box, score, 1) for score in scores))
    images = {'P1': found, 'P2': _found((1, 2, 4, 2, 0, 0.5, 2), (9, 9, 4, 2, 0, 1, 1))}
    archive = DotaSubmission(str(tmp_path / 'sent')).write(images, CLASSES)
    assert archive == tmp_path / 'sent' / 'Task1.zip'
    names = [f'Task1_{name}.txt' for name in CLASSES]
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == sorted(names)
        assert opened.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
        for name in names:
            assert (archive.parent / name).read_bytes() == opened.read(name)
    assert {path.name for path in archive.parent.iterdir()} == {'Task1.zip', *names}
    assert _lines(archive, 'plane') == []
    assert len(_lines(archive, 'ship')) == 1
    rows = [line.split() for line in _lines(archive, 'small-vehicle')]
    assert [row[0] for row in rows] == ['P1', 'P1', 'P1', 'P2']
    assert [np.float32(row[1]) for row in rows[:3]] == list(found.scores)
    assert all('e' not in row[1] for row in rows)
    written = np.array(rows[0][2:], float).reshape(4, 2)
    want = corners(box)
    assert all(np.abs(np.array(want) - point).sum(1).min() < 0.011 for point in written)
    turns = np.roll(written, -1, 0) - written
    assert np.hypot(*turns.T) == pytest.approx([20, 40, 20, 40], abs=0.03)


def test_an_archive_that_is_there_is_replaced(tmp_path):
    writer = DotaSubmission(str(tmp_path), 'all.zip')
    first = writer.write({'P1': _found((1, 2, 4, 2, 0, 0.5, 2))}, CLASSES).read_bytes()
    writer.write({'P1': _found()}, CLASSES)
    assert _lines(tmp_path / 'all.zip', 'ship') == []
    (tmp_path / 'all.zip').write_bytes(b'no zip')
    again = writer.write({'P1': _found((1, 2, 4, 2, 0, 0.5, 2))}, CLASSES)
    assert again.read_bytes() == first


def test_names_that_the_files_cannot_hold_are_refused(tmp_path):
    writer = DotaSubmission(str(tmp_path))
    with pytest.raises(ValueError, match="image name 'P 1', allowed are names without"):
        writer.write({'P 1': _found()}, CLASSES)
    with pytest.raises(ValueError, match="class 'plane/jet', allowed are names that"):
        writer.write({}, ('ship', 'plane/jet'))
    assert list(tmp_path.iterdir()) == []
