"""Equality with the splitter that mmrotate ships."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('shapely', reason="shapely comes with pip install 's5_mm[det]'")
if find_spec('mmrotate') is None:
    pytest.skip("pip install 's5_mm[det]'", allow_module_level=True)

from s5_mm.datasets.patches import (  # noqa: E402
    PatchSplitter,
    SplitSettings,
    find_sources,
    read_objects,
)
from s5_mm.datasets.patches.split_settings import record_settings  # noqa: E402
from s5_mm.io.images.read import read_image  # noqa: E402

from .boxes import dota  # noqa: E402

HOST = (
    Path(str(find_spec('mmrotate').origin)).parent
    / '.mim/tools/data/dota/split/img_split.py'
)
SHAPES = [(200, 150), (64, 64), (30, 40), (65, 300), (130, 20)]


def both(tmp_path: Path, *options: str, whole: bool, **settings) -> tuple[Path, Path]:
    """Split by the host and by ours."""
    src = dota(tmp_path / 'src', SHAPES, whole=whole, count=80)
    host, ours = tmp_path / 'host', tmp_path / 'ours'
    command = [sys.executable, '-W', 'ignore', str(HOST), '--nproc', '1', *options]
    command += ['--img-dirs', str(src / 'images'), '--save-dir', str(host)]
    command += ['--ann-dirs', str(src / 'labelTxt')]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    splitter = PatchSplitter(SplitSettings(**settings), ours)
    record_settings(splitter.settings, ours)
    for source in find_sources([str(src / 'images')], [str(src / 'labelTxt')]):
        assert splitter.split(source).problems == ()
    return host, ours


def names(root: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (root / folder).iterdir())


@pytest.mark.parametrize(
    ('options', 'settings'),
    [
        (
            '--sizes 64 --gaps 16 --padding-value 104 116 124',
            {'sizes': (64,), 'gaps': (16,)},
        ),
        (
            '--sizes 64 --gaps 16 --rates 0.5 1 1.5 --img-rate-thr 0.3 --iof-thr 0.4 '
            '--no-padding',
            {
                'sizes': (64,),
                'gaps': (16,),
                'rates': (0.5, 1.0, 1.5),
                'img_rate_thr': 0.3,
                'iof_thr': 0.4,
                'padding_value': None,
            },
        ),
        (
            '--sizes 50 100 --gaps 0 49 --padding-value 0 --iof-thr 0.01',
            {
                'sizes': (50, 100),
                'gaps': (0, 49),
                'padding_value': (0, 0, 0),
                'iof_thr': 0.01,
            },
        ),
    ],
)
def test_whole_numbers(tmp_path: Path, options: str, settings: dict) -> None:
    """Corners in whole pixels: every byte is the same."""
    host, ours = both(tmp_path, *options.split(), whole=True, **settings)
    assert names(host, 'images') == names(ours, 'images')
    assert names(host, 'annfiles') == names(ours, 'annfiles')
    lines = 0
    for name in names(host, 'images'):
        np.testing.assert_array_equal(
            read_image(str(host / 'images' / name)),
            read_image(str(ours / 'images' / name)),
        )
    for name in names(host, 'annfiles'):
        text = (ours / 'annfiles' / name).read_text()
        assert text == (host / 'annfiles' / name).read_text()
        lines += text.count('\n')
    assert lines > 100


def test_fractions(tmp_path: Path) -> None:
    """Corners in tenths: the host's float32 makes flags of whole objects wrong."""
    options = ['--sizes', '64', '--gaps', '16']
    host, ours = both(tmp_path, *options, whole=False, sizes=(64,), gaps=(16,))
    wrong = cut = 0
    for name in names(host, 'annfiles'):
        theirs = read_objects(str(host / 'annfiles' / name))
        mine = read_objects(str(ours / 'annfiles' / name))
        assert mine.labels == theirs.labels
        np.testing.assert_allclose(mine.corners, theirs.corners, rtol=0, atol=1e-4)
        inside = ((mine.corners >= 0) & (mine.corners <= 64)).all(1)
        np.testing.assert_array_equal(mine.difficult[~inside], 2)
        np.testing.assert_array_equal(theirs.difficult[~inside], 2)
        assert (mine.difficult[inside] < 2).all()
        differ = mine.difficult != theirs.difficult
        assert (theirs.difficult[differ] == 2).all()
        wrong += int(differ.sum())
        cut += int((~inside).sum())
    assert wrong > 0
    assert cut > 0
