"""Text files of objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s5_mm.datasets.oriented import AnnotationError
from s5_mm.datasets.patches import format_objects, read_objects

from .boxes import random_objects

LINE = '1 2 3 4 5 6 7 8'


def test_there_and_back(tmp_path: Path) -> None:
    objects = random_objects(0, 100, 100)
    path = tmp_path / 'a.txt'
    path.write_text('imagesource:GoogleEarth\ngsd:null\n\n' + format_objects(objects))
    again = read_objects(str(path))
    np.testing.assert_allclose(again.corners, objects.corners, rtol=0, atol=5e-5)
    assert again.labels == objects.labels
    assert again.difficult.tolist() == objects.difficult.tolist()


def test_short_numbers_and_missing_difficult(tmp_path: Path) -> None:
    path = tmp_path / 'a.txt'
    path.write_bytes(f'\ufeff{LINE} ship\r\n1929.3 -0 3 4 5 6 7 8 a 2\n'.encode())
    objects = read_objects(str(path))
    assert objects.labels == ['ship', 'a']
    moved = objects._replace(corners=objects.corners - np.tile([824.0, 0.0], 4))
    assert format_objects(moved).splitlines()[1] == (
        '1105.3 0.0 -821.0 4.0 -819.0 6.0 -817.0 8.0 a 2'
    )
    path.write_text('')
    assert format_objects(read_objects(str(path))) == ''


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (f'{LINE} ship 0\n{LINE}', 'line 2: 8 words, expected x1 y1 .* class'),
        (f'{LINE} a b 0', 'line 1: 11 words, expected'),
        (f'{LINE} ship 0\ngsd:0.1', 'line 2: 0 numbers before the class'),
        (f'{LINE} ship yes', "line 1: difficult is 'yes', expected a whole number"),
        ('1 2 3 x 5 6 7 8 ship 0', "line 1: 'x' is no coordinate, expected a finite"),
        ('1 2 3 nan 5 6 7 8 ship 0', "line 1: 'nan' is no coordinate"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'a.txt'
    path.write_text(text)
    with pytest.raises(AnnotationError, match=f'{path}: {message}'):
        read_objects(str(path))


def test_unreadable(tmp_path: Path) -> None:
    (tmp_path / 'a.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(AnnotationError, match='a.txt: is no text in UTF-8'):
        read_objects(str(tmp_path / 'a.txt'))
    with pytest.raises(AnnotationError, match='b.txt: the file does not exist'):
        read_objects(str(tmp_path / 'b.txt'))
    with pytest.raises(AnnotationError, match='the file cannot be read'):
        read_objects(str(tmp_path))
