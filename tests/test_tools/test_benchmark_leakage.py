"""The measurement of the leakage check on a few drawn tiles."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from s5_mm.testing import draw_scene
from tools.benchmarks import benchmark_leakage


def test_it_prints_recall_false_positives_and_what_the_pyramid_has(
    tmp_path: Path, capsys
) -> None:
    for number in range(2):
        folder = tmp_path / f'folder{number}'
        folder.mkdir()
        ground = draw_scene(13, number, 512).image
        coarse = cv2.resize(ground, (256, 256), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / 'T-3-5-9.png'), coarse[..., ::-1])
        for x in (0, 1):
            tile = ground[:256, 256 * x : 256 * x + 256, ::-1]
            cv2.imwrite(str(folder / f'T-{6 + x}-10-10.png'), tile)
    flat = np.full((256, 256, 3), 60, np.uint8)
    cv2.imwrite(str(tmp_path / 'folder1/T-0-0-10.png'), flat)
    folders = map(str, sorted(tmp_path.iterdir()))
    options = ['--max-features', '2', '--pairs', '4']
    benchmark_leakage.main([*folders, *options])
    text = capsys.readouterr().out
    assert '4 tiles with structure, 1 flat ones are not hashed' in text
    found = re.search(r'31\) 0 of 8 pairs, the closest differ in (\d+) bits', text)
    assert found
    assert 64 < int(found[1]) <= 128
    rows = re.findall(
        r'^(?:JPEG|scale|orientation|brightness).{22,} {3}100.00', text, re.M
    )
    assert len(rows) >= 16
    assert text.count('2 tiles of which a quarter of a coarser tile') == 2
    assert text.count('hash layer 100.0 % (beside them 0 other pairs)') == 2
