"""The contact sheets of the quality gate."""

import cv2
import numpy as np
import pytest

from s5_mm.testing import adversarial_pool, draw_scene
from s5_mm.testing.defects import encode_png
from tools.analysis_tools import show_quality as TOOL


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    kinds = ('flat', 'no_data', 'truncated')
    return adversarial_pool(tmp_path_factory.mktemp('q') / 'p', 12, 64, 0.5, kinds)


def test_counts_and_sheet(pool, tmp_path, capsys):
    out = tmp_path / 'sheet.png'
    TOOL.main([str(pool.folder), '--out', str(out), '--size', '64', '--count', '3'])
    text = capsys.readouterr().out
    assert '12 crops, 6 pass' in text
    for reason in ('flat', 'no_data', 'unreadable'):
        line = next(x for x in text.splitlines()[::-1] if x.startswith(reason))
        assert line.split() == [reason, '2', '16.67%']
    medians = next(x for x in text.splitlines() if x.startswith('contrast')).split()
    assert len(medians) == 1 + len(TOOL.QUANTILES)
    sheet = cv2.imread(str(out))
    # Three reasons and four rows of what passes, each of three tiles.
    assert sheet.shape[1] == 8 + 3 * 168
    assert sheet.shape[0] > 7 * 160


def test_thresholds_and_number_of_images(pool, tmp_path, capsys):
    args = [str(pool.folder), '--out', str(tmp_path / 'a.png'), '--size', '64']
    off = ['flat=None', 'contrast=None', 'no_data=None', 'constant=None']
    TOOL.main([*args, '--gate', *off, 'border=None', 'stripes=None'])
    assert '12 crops, 10 pass' in capsys.readouterr().out
    TOOL.main([*args, '--max-images', '4'])
    assert '4 crops, ' in capsys.readouterr().out
    with pytest.raises(ValueError, match="unknown key 'flut', did you mean 'flat'"):
        TOOL.main([*args, '--gate', 'flut=1'])
    with pytest.raises(ValueError, match='--gate flat: expected name=number'):
        TOOL.main([*args, '--gate', 'flat'])


def test_large_images_are_cut(tmp_path):
    image = draw_scene(0, 0, 96).image
    (tmp_path / 'a.png').write_bytes(encode_png(image))
    scores = TOOL.Scores(tmp_path, 64)
    assert [window for _, window in scores.windows] == [
        (0, 0, 64, 64),
        (32, 0, 64, 64),
        (0, 32, 64, 64),
        (32, 32, 64, 64),
    ]
    np.testing.assert_array_equal(scores.picture(3), image[32:, 32:])
    small = TOOL.Scores(tmp_path, 128)
    assert small.figures['padding'].tolist() == pytest.approx([1 - 96**2 / 128**2])
    np.testing.assert_array_equal(small.picture(0), image)


def test_a_picture_that_cannot_be_written(pool, tmp_path):
    with pytest.raises(ValueError, match=r'none/a\.png: cannot be written'):
        TOOL.main([str(pool.folder), '--out', str(tmp_path / 'none' / 'a.png')])
