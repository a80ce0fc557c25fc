"""Grids of arms and seeds, and what is wrong with others."""

import re

import pytest

from s5_mm.lab import read_grid
from s5_mm.lab.grid import CONFIGS

GOOD = """
seeds = [3, 0]
baseline = 'a'
arms = dict(
    a=dict(config='demo/supervised.py'),
    b=dict(
        config='demo/fixmatch.py',
        options={
            'model.semi_train_cfg.burn_in': 7,
            'train_dataloader.dataset.sources.sup.ann_file': '{configs}/{seed}.txt',
            'train_dataloader.dataset.sources.unsup.data_dir': 'x{seed}',
            'model.semi_train_cfg.threshold': dict(
                _delete_=True, type='s5_mm.NoThreshold'
            ),
            'model.semi_train_cfg.conf_thresh': None,
            'max_iters': 90,
        },
    ),
    c=dict(config='own.py', against='b'),
    d=dict(config='demo/supervised.py', against='d'),
)
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'grid.py'
        path.write_text(text)
        return path

    return write


def test_configs_of_the_runs(write, tmp_path):
    path = write(GOOD)
    (tmp_path / 'own.py').write_text(
        f"_base_ = '{CONFIGS}/demo/supervised.py'\ntrain_cfg = dict(val_interval=7)\n"
    )
    grid = read_grid(path)
    assert grid.against == {'b': 'a', 'c': 'b'}
    assert list(grid.runs())[:5] == [
        *((arm, 3) for arm in 'abcd'),
        ('a', 0),
    ]
    cfg = grid.config('b', 3, '/data/here')
    assert cfg.randomness.seed == 3
    sources = cfg.train_dataloader.dataset.sources
    assert sources.sup.data_root == '/data/here/'
    assert sources.sup.ann_file == f'{CONFIGS}/3.txt'
    assert sources.unsup.data_dir == 'x3'
    assert cfg.model.semi_train_cfg.threshold == dict(type='s5_mm.NoThreshold')
    assert cfg.model.semi_train_cfg.conf_thresh is None
    assert cfg.model.semi_train_cfg.burn_in == 7
    # A variable of the config: what is made of it follows.
    assert (cfg.train_cfg.max_iters, cfg.param_scheduler[1].end) == (90, 90)
    assert grid.config('c', 0, '/data').train_cfg.val_interval == 7


def test_part_of_a_grid_keeps_its_baselines(write):
    grid = read_grid(write(GOOD))
    assert list(grid.restrict(['c'], []).arms) == ['a', 'b', 'c']
    part = grid.restrict(['d'], [5])
    assert (list(part.arms), part.seeds) == (['a', 'd'], (5,))
    assert grid.restrict([], []) == grid
    with pytest.raises(ValueError, match=r"no arms \['e'\]; it has \['a', 'b'"):
        grid.restrict(['e'], [])
    with pytest.raises(ValueError, match=r'seeds=\[1, 1\], expected different integ'):
        grid.restrict([], [1, 1])


@pytest.mark.parametrize(
    ('old', 'new', 'text'),
    [
        ('seeds = [3, 0]', '', 'seeds=None, expected a grid with seeds='),
        ('seeds = [3, 0]', 'seeds = []', r'seeds=\[\], expected different integers'),
        ('[3, 0]', '[3, 3]', r'seeds=\[3, 3\], expected different integers'),
        ('[3, 0]', '[-1]', r'seeds=\[-1\], expected different integers from 0'),
        ('[3, 0]', '[True]', r'seeds=\[True\], expected different integers from 0'),
        ("baseline = 'a'", '', "baseline=None, expected a grid with .*baseline='ARM'"),
        ("'a'\n", "'z'\n", r"baseline='z', expected one of the arms \['a', 'b'"),
        ('arms', 'arm', 'arms=None, expected a grid with'),
        ("config='own.py', ", '', "arm 'c' is .* expected dict"),
        (
            "against='b'",
            "against='z'",
            r"arm 'c' has against='z', expected one of the arms \['a', 'b', 'c', 'd'\]",
        ),
        ("against='b'", 'against=[]', r"arm 'c' has against=\[\], expected one of"),
        ("against='b'", 'options={1: 2}', "arm 'c' is .*, expected dict"),
        ("against='b'", "option='z'", "arm 'c' is .*, expected dict"),
        ("against='b'", 'options=[1]', "arm 'c' is .*, expected dict"),
        (
            "against='d'),\n)",
            "against='d'),\n)\narms['../x'] = arms['a']",
            r"arm '../x', expected the n",
        ),
        (
            "against='d'),\n)",
            "against='d'),\n)\narms[1] = arms['a']",
            'arm 1, expected the name of a folder',
        ),
        (
            "against='d'),\n)",
            "against='d'),\n)\narms['configs'] = arms['a']",
            "arm 'configs', expected the name of a folder other than 'configs'",
        ),
    ],
)
def test_what_is_no_grid(write, old, new, text):
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=f'^{re.escape(str(path))}: {text}'):
        read_grid(path)


def test_files_that_are_missing(write, tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no config file'):
        read_grid(tmp_path / 'none.py')
    grid = read_grid(write(GOOD.replace('demo/fix', 'demo/fox')))
    with pytest.raises(ValueError, match=r"arm 'b': .* has no config 'demo/foxmatch"):
        grid.config('b', 0, '/data')


@pytest.mark.parametrize(
    ('old', 'new', 'text'),
    [
        ("'max_iters'", "'max_iter'", "arm 'b': .*max_iter"),
        ("sup.ann_file'", "sup.pipeline.9.x'", "arm 'b': .*pipeline"),
    ],
)
def test_options_that_change_nothing(write, old, new, text):
    grid = read_grid(write(GOOD.replace(old, new)))
    with pytest.raises(ValueError, match=text):
        grid.config('b', 0, '/data')
