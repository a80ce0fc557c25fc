"""A pool with another domain and spoiled tiles: same arguments, same bytes."""

import hashlib

import cv2
import numpy as np
import pytest

from s5_mm.cli.command import run_command
from s5_mm.io.images.read import read_image
from s5_mm.testing.defects import DEFECTS
from tools.misc import s4_pool


@pytest.fixture
def data(tmp_path):
    """Twelve harbours and ten tiles, of which one has an alpha channel."""
    draws = np.random.default_rng(0)
    harbours = tmp_path / 'data' / s4_pool.HARBOURS
    tiles = tmp_path / 'data' / s4_pool.TILES / 'region1'
    for folder, count, suffix in ((harbours, 12, 'jpg'), (tiles, 10, 'png')):
        folder.mkdir(parents=True)
        for number in range(count):
            channels = 4 if (suffix, number) == ('png', 3) else 3
            image = draws.integers(0, 256, (32, 32, channels), dtype=np.uint8)
            cv2.imwrite(str(folder / f'{number}.{suffix}'), image)
    return tmp_path / 'data'


def _pool(folder, data, *arguments):
    arguments = [folder, '--data', data, *arguments]
    return run_command(s4_pool.main, [str(one) for one in arguments])


def _digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ('other', 'spoiled')
        for path in (folder / name).iterdir()
    }


def test_what_is_in_it(data, tmp_path, capsys):
    pool = tmp_path / 'pool'
    assert _pool(pool, data, '--other', '6', '--spoiled', '9') == 0
    assert '6 tiles of another domain, 9 spoiled' in capsys.readouterr().out
    found = sorted(path.name for path in (pool / 'spoiled').iterdir())
    assert [name.rpartition('_')[0] for name in found] == sorted([*DEFECTS, DEFECTS[0]])
    others = list((pool / 'other').iterdir())
    assert len(others) == 6
    for path in others:
        original = data / s4_pool.TILES / 'region1' / path.name
        expected = read_image(str(original), alpha='drop')
        np.testing.assert_array_equal(read_image(str(path)), expected)
    assert len(list((pool / 'hrsc_ships/img_dir/train').iterdir())) == 12


def test_the_same_bytes_wherever_the_data_are(data, tmp_path):
    arguments = ['--other', '4', '--spoiled', '8']
    _pool(tmp_path / 'a', data, *arguments)
    moved = data.rename(tmp_path / 'moved')
    _pool(tmp_path / 'b', moved, *arguments)
    assert _digests(tmp_path / 'a') == _digests(tmp_path / 'b')
    _pool(tmp_path / 'c', moved, *arguments, '--seed', '1')
    other = _digests(tmp_path / 'c')
    assert set(other.values()) != set(_digests(tmp_path / 'b').values())


def test_what_is_refused(data, tmp_path, capsys):
    def refused(*arguments):
        assert _pool(tmp_path / 'pool', *arguments) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1
        return error

    assert f'there is no folder {s4_pool.HARBOURS} in it' in refused(tmp_path)
    assert '--other -1, expected at least 0' in refused(data, '--other', '-1')
    assert '--seed -1, expected at least 0' in refused(data, '--seed', '-1')
    error = refused(data, '--other', '11')
    assert f'--other 11: {data} has 10 images for 11 of them' in error
    error = refused(data, '--other', '8', '--spoiled', '6')
    assert f'--spoiled 6: {data} has 2 images for 3 of them' in error
    assert not (tmp_path / 'pool').exists()
    assert _pool(tmp_path / 'pool', data, '--other', '1', '--spoiled', '1') == 0
    error = refused(data, '--other', '1', '--spoiled', '1')
    assert 'pool/other is there already; remove it or choose another' in error
