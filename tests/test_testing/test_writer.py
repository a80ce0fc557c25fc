from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from s5_mm.testing import DEFECTS, planted_defects, spoil, write_dataset
from s5_mm.testing import writer as writer_module
from s5_mm.testing.defects import encode_png

ROOT = Path(__file__).parents[2]


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_layout(tmp_path):
    root = write_dataset(tmp_path / 'd', 3, 4, 2, size=48, seed=1)
    assert sorted(_digests(root)) == sorted(
        ['dataset.json']
        + [f'img_dir/train/{i:06d}.png' for i in range(3)]
        + [f'ann_dir/train/{i:06d}.png' for i in range(3)]
        + [f'annfiles/train/{i:06d}.txt' for i in range(3)]
        + [f'img_dir/val/{i:06d}.png' for i in range(2)]
        + [f'ann_dir/val/{i:06d}.png' for i in range(2)]
        + [f'annfiles/val/{i:06d}.txt' for i in range(2)]
        + [f'unlabelled/{i:06d}.png' for i in range(4)]
    )
    scene = writer_module.draw_scene(1 * 4 + 0, 2, 48)
    image = cv2.imread(str(root / 'img_dir/train/000002.png'))[..., ::-1]
    mask = cv2.imread(str(root / 'ann_dir/train/000002.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image, scene.image)
    np.testing.assert_array_equal(mask, scene.mask)
    for path in (root / 'annfiles').rglob('*.txt'):
        for line in path.read_text().splitlines():
            *numbers, label, difficult = line.split()
            assert len([float(n) for n in numbers]) == 8
            assert label in ('small-vehicle', 'large-vehicle')
            assert difficult in '01'
    assert list(tmp_path.iterdir()) == [root]


def test_same_bytes(tmp_path):
    broken = dict.fromkeys(DEFECTS, 1)
    a = write_dataset(tmp_path / 'a', 2, 8, 1, size=40, seed=5, broken=broken)
    b = write_dataset(tmp_path / 'b', 2, 8, 1, size=40, seed=5, broken=broken)
    c = write_dataset(tmp_path / 'c', 2, 8, 1, size=40, seed=6, broken=broken)
    assert _digests(a) == _digests(b)
    assert _digests(a) != _digests(c)
    # More scenes leave the others as they are, and the streams never meet.
    d = write_dataset(tmp_path / 'd', 3, 9, 2, size=40, seed=5)
    name = 'img_dir/train/000001.png'
    assert _digests(d)[name] == _digests(a)[name]
    pictures = [v for k, v in _digests(d).items() if 'img_dir' in k or 'unlab' in k]
    assert len(set(pictures)) == len(pictures) == 14


def test_idempotent_and_renewed(tmp_path):
    root = write_dataset(tmp_path / 'd', 1, 1, 1, size=32)
    marker = root / 'mine'
    marker.touch()
    seen = []
    write_dataset(root, 1, 1, 1, size=32, progress=lambda *a: seen.append(a))
    assert marker.exists()
    assert seen == []
    write_dataset(root, 1, 2, 1, size=32, progress=lambda *a: seen.append(a))
    assert not marker.exists()
    assert seen == [(i + 1, 4) for i in range(4)]
    assert len(list((root / 'unlabelled').iterdir())) == 2
    assert json.loads((root / 'dataset.json').read_text())['num_unlabelled'] == 2
    assert list(tmp_path.iterdir()) == [root]


def test_other_folders_are_not_touched(tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'a.txt').touch()
    with pytest.raises(
        FileExistsError, match=r'photos: exists and has no dataset\.json'
    ):
        write_dataset(tmp_path / 'photos', 1, 1, 1, size=32)
    assert (tmp_path / 'photos' / 'a.txt').exists()
    (tmp_path / 'new').mkdir()
    write_dataset(tmp_path / 'new', 1, 1, 1, size=32)
    assert (tmp_path / 'new' / 'dataset.json').exists()


def test_broken_files(tmp_path):
    counts = dict(flat=2, no_data=1, stripes=1, truncated=2, empty=1)
    root = write_dataset(tmp_path / 'd', 1, 20, 1, size=64, broken=counts)
    found = dict.fromkeys(counts, 0)
    good = 0
    for path in sorted((root / 'unlabelled').iterdir()):
        if path.stat().st_size == 0:
            found['empty'] += 1
            continue
        try:
            with Image.open(path) as file:
                image = np.asarray(file.convert('RGB'))
        except OSError:
            found['truncated'] += 1
            continue
        assert image.shape == (64, 64, 3)
        rows = image.reshape(64, -1, 3)
        flat_rows = (rows == rows[:, :1]).all(axis=(1, 2)).sum()
        if flat_rows == 64:
            found['flat'] += 1
        elif (image == 0).all(axis=2).mean() > 0.2:
            found['no_data'] += 1
        elif flat_rows > 10:
            found['stripes'] += 1
        else:
            good += 1
    assert found == counts
    assert good == 13


def test_spoil_errors(tmp_path):
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="kind='torn', allowed are"):
        spoil(image, 'torn', np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"broken: \['torn'\] found"):
        write_dataset(tmp_path / 'd', 1, 1, 1, broken={'torn': 1})
    with pytest.raises(ValueError, match='3 bad images .* num_unlabelled is 2'):
        write_dataset(tmp_path / 'd', 1, 2, 1, broken={'flat': 3})
    assert list(tmp_path.iterdir()) == []


def test_failed_writer_leaves_nothing_and_keeps_the_old(tmp_path, monkeypatch):
    root = write_dataset(tmp_path / 'd', 1, 1, 1, size=32)
    before = _digests(root)

    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr(writer_module, 'spoil', fail)
    with pytest.raises(OSError, match='disk full'):
        write_dataset(root, 1, 2, 1, size=32, broken={'flat': 1})
    assert _digests(root) == before
    assert list(tmp_path.iterdir()) == [root]


def test_killed_writer_leaves_no_half_dataset(tmp_path):
    root = tmp_path / 'd'
    code = (
        'import sys; from s5_mm.testing import write_dataset;'
        'write_dataset(sys.argv[1], 10**6, 1, 1, size=32)'
    )
    process = subprocess.Popen([sys.executable, '-c', code, str(root)], cwd=ROOT)
    deadline = time.time() + 60
    while not (tmp_path / '.d.partial/img_dir/train/000003.png').is_file():
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not root.exists()
    write_dataset(root, 1, 1, 1, size=32)
    assert list(tmp_path.iterdir()) == [root]  # what it left is gone


def test_planted_defects(tmp_path):
    counts = dict(flat=2, empty=1, border=1, white=1, upsampled=1)
    root = write_dataset(tmp_path / 'd', 1, 12, 1, size=64, broken=counts)
    plain = write_dataset(tmp_path / 'e', 1, 12, 1, size=64)
    found = planted_defects(root)
    assert sorted(filter(None, found.values())) == sorted(
        kind for kind, count in counts.items() for _ in range(count)
    )
    for name, kind in found.items():
        image, good = (f / 'unlabelled' / name for f in (root, plain))
        assert (image.read_bytes() == good.read_bytes()) == (kind == '')
        assert (image.stat().st_size == 0) == (kind == 'empty')
    assert set(planted_defects(plain).values()) == {''}
    with pytest.raises(FileNotFoundError, match=r'dataset\.json: does not exist'):
        planted_defects(tmp_path)


def test_pictures_of_the_first_format_stay_as_they_were():
    image = writer_module.draw_scene(0, 0, 64).image
    digests = {
        kind: hashlib.sha256(spoil(image, kind, np.random.default_rng(3))).digest()
        for kind in DEFECTS
    }
    assert len(set(digests.values())) == len(DEFECTS)
    lost = np.random.default_rng(3)
    rows = lost.random(64) < 0.5
    striped = image.copy()
    striped[rows] = lost.integers(0, 256, size=(int(rows.sum()), 1, 3))
    assert hashlib.sha256(encode_png(striped)).digest() == digests['stripes']
