"""Variables of a config: overriding them is writing them, or is refused."""

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from s5_mm.cli.config import load_config, make_work_dir
from s5_mm.cli.config_text import config_files, differences, places
from s5_mm.cli.reading import read_config
from s5_mm.cli.variables import check_assignments

ROOT = Path(__file__).parents[2]
DUBAI = str(ROOT / 'configs/s4p/vit-t_dubai.py')
CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs'))
    for path in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in path.parts
)


def _written(tmp_path, **texts):
    for name, text in texts.items():
        (tmp_path / f'{name}.py').write_text(text)
    return str(tmp_path / f'{name}.py')


@pytest.mark.parametrize(
    ('options', 'file', 'old', 'new'),
    [
        (
            {'crop_size': (64, 64)},
            '_base_/datasets/dubai_oam.py',
            'crop_size = (128, 128)',
            'crop_size = (64, 64)',
        ),
        # What the command line makes of 64,64.
        (
            {'crop_size': [64, 64]},
            '_base_/datasets/dubai_oam.py',
            'crop_size = (128, 128)',
            'crop_size = (64, 64)',
        ),
        (
            {'max_iters': 100},
            's4p/vit-t_dubai.py',
            'max_iters = 600',
            'max_iters = 100',
        ),
        (
            {'norm_cfg': dict(type='BN')},
            '_base_/models/upernet_vit-b.py',
            "norm_cfg = dict(type='s5_mm.SyncBN', requires_grad=True)",
            "norm_cfg = dict(type='BN')",
        ),
        (
            {'norm_cfg.type': 'BN'},
            '_base_/models/upernet_vit-b.py',
            "norm_cfg = dict(type='s5_mm.SyncBN', requires_grad=True)",
            "norm_cfg = dict(type='BN', requires_grad=True)",
        ),
    ],
)
def test_an_option_is_what_the_file_would_be(tmp_path, options, file, old, new):
    import shutil

    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    path = tmp_path / 'configs' / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    want = load_config(str(tmp_path / 'configs/s4p/vit-t_dubai.py')).to_dict()
    found = load_config(DUBAI, options).to_dict()
    assert str(found) == str(want)
    # It leaves nothing behind.
    assert str(load_config(DUBAI).to_dict()) != str(want)


def test_variables_settings_and_the_data_root_together():
    options = {'max_iters': 90, 'data_root': '/x', 'train_cfg.val_interval': 30}
    cfg = load_config(DUBAI, options)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (90, 30)
    assert cfg.val_dataloader.dataset.data_root == '/x/dubai'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'max_iter': 4},
            "no setting or variable 'max_iter', did you mean 'max_iters'",
        ),
        ({'modle.x': 4}, "no setting or variable 'modle', did you mean 'model'"),
        ({'moon': 4}, "no setting or variable 'moon'$"),
        (
            {'max_iters': 'many'},
            r'^--cfg-options max_iters=many: .*vit-t_dubai\.py, line 11: TypeError',
        ),
        (
            {'start_factor': 1},
            "'start_factor', did you mean param_scheduler.0.start_factor\\?$",
        ),
        (
            {'model.segmentor.backbone.arch.x': 1},
            'model.segmentor.backbone.arch.x: arch=.* is of type',
        ),
    ],
)
def test_options_that_name_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        load_config(DUBAI, options)


def test_a_variable_that_decides_over_nothing_names_what_does(tmp_path):
    # As dumped configs are: variables and settings stand side by side.
    path = _written(
        tmp_path,
        dumped='size = (32, 32)\nmodel = dict(type="A", crop=[dict(size=(32, 32))])\n'
        'test_cfg = dict(size=(32, 32), other=(32, 33))\n',
    )
    with pytest.raises(ValueError, match='size') as refused:
        load_config(path, {'size': (64, 64)})
    assert str(refused.value) == (
        f'--cfg-options size=(64, 64): no setting of {path} is made of size; the '
        'settings that count: model.crop.0.size, test_cfg.size'
    )
    assert load_config(path, {'size': (32, 32)}).size == (32, 32)


BASE = (
    'crop_size = (32, 32)\nmax_iters = 10\nunused = 1\n'
    'model = dict(type="A", parts=[dict(size=crop_size)])\n'
    'train_cfg = dict(max_iters=max_iters, size=crop_size)\n'
)


@pytest.mark.parametrize('middle', ["_base_ = ['./base.py']\n", BASE])
def test_an_assignment_in_vain_names_what_counts(tmp_path, middle):
    leaf = "_base_ = ['./middle.py']\ncrop_size = (64, 64)\n"
    path = _written(tmp_path, base=BASE, middle=middle, leaf=leaf)
    with pytest.raises(ValueError, match='size') as refused:
        load_config(path)
    assert str(refused.value) == (
        f'{path}: crop_size = (64, 64) changes nothing, as its bases are evaluated '
        'first; set what they make of it: model.parts.0.size, train_cfg.size'
    )
    # It is refused wherever in the chain it stands.
    above = _written(tmp_path, above="_base_ = ['./leaf.py']\n")
    with pytest.raises(ValueError, match=r'leaf\.py: crop_size = \(64, 64\) changes'):
        load_config(above)


@pytest.mark.parametrize(
    'text',
    [
        # Used in the leaf itself.
        'crop_size = (64, 64)\ntrain_cfg = dict(size=crop_size)\n',
        # The same value, a variable that the base does not use, one of its own.
        'crop_size = (32, 32)\n',
        'unused = 2\n',
        'mine = 3\n',
        # The base's variable by its name.
        'train_cfg = dict(more=_base_.crop_size)\n',
        # A setting.
        'train_cfg = dict(max_iters=4)\n',
    ],
)
def test_no_false_alarms(tmp_path, text):
    leaf = f"_base_ = ['./base.py']\n{text}"
    path = _written(tmp_path, base=BASE, leaf=leaf)
    found = load_config(path).to_dict()
    want = Config.fromfile(path).to_dict()
    assert {key: found[key] for key in want} == want


@pytest.mark.parametrize('leaf', CONFIGS)
def test_every_config_assigns_what_counts(leaf, recwarn):
    path = str(ROOT / 'configs' / leaf)
    check_assignments(path, read_config(path))
    assert [w for w in recwarn if 'deprecat' not in str(w.message).lower()] == []


def test_there_are_configs():
    assert len(CONFIGS) > 60


def test_files_of_a_config():
    files = dict(config_files(DUBAI))
    assert list(files)[-1] == DUBAI
    names = [os.path.basename(file) for file in files[DUBAI]]
    assert names[:2] == ['upernet_vit-b.py', 'fixmatch_upernet_vit-b.py']


def test_differences_and_places():
    one = dict(a=1, b=[dict(c=2), 3], d=(1, 2), e=dict(f=1))
    two = dict(a=1, b=[dict(c=4), 3], d=(1, 3), g=0, e=dict(f=1.0))
    assert list(differences(one, two)) == ['b.0.c', 'd', 'e.f', 'g']
    assert list(differences(one, one)) == []
    assert list(places((1, 2), one)) == ['d']
    assert list(places(2, one)) == ['b.0.c', 'd.1']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a = 1\nb = (\n', r"a\.py, line 2: '\(' was never closed"),
        ('a = 1\nb = c\n', r"a\.py, line 2: NameError: name 'c' is not defined"),
        ('a = dict()\nb = a["x"]\n', r'a\.py, line 2: KeyError: x'),
        (
            "_base_ = ['./none.py']\n",
            r"a\.py: _base_ './none\.py': there is no config file /.*/none\.py",
        ),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / 'a.py').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(str(tmp_path / 'a.py'))
    # The same in a base.
    (tmp_path / 'leaf.py').write_text("_base_ = ['./a.py']\n")
    with pytest.raises(ValueError, match=message):
        read_config(str(tmp_path / 'leaf.py'))


def test_no_config(tmp_path):
    near = DUBAI.replace('dubai', 'duabi')
    with pytest.raises(FileNotFoundError, match=rf'{near}, did you mean {DUBAI}\?$'):
        read_config(near)
    with pytest.raises(FileNotFoundError, match='no config file none/a.py$'):
        read_config('none/a.py')
    with pytest.raises(FileNotFoundError, match='is a folder, expected a config file'):
        read_config(str(tmp_path))


def test_a_work_dir_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    make_work_dir(Config(dict(work_dir=str(tmp_path / 'a/b'))))
    assert (tmp_path / 'a/b').is_dir()
    with pytest.raises(OSError, match=r'--work-dir .*/file/x: the folder cannot be'):
        make_work_dir(Config(dict(work_dir=str(tmp_path / 'file/x'))))


@pytest.mark.skipif(os.getuid() == 0, reason='root may write everywhere')
def test_a_work_dir_that_is_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match='the folder is not writable'):
        make_work_dir(Config(dict(work_dir=str(tmp_path))))


@pytest.mark.parametrize('leaf', ['vit-t_hrsc_labelled', 'vit-t_dubai_curated'])
def test_a_short_run_has_a_schedule_of_its_length(leaf):
    for options, warmup in (({}, 50), ({'max_iters': 8}, 4)):
        cfg = load_config(f'configs/s4p/{leaf}.py', options)
        linear, cosine = cfg.param_scheduler
        assert linear.end == cosine.begin == warmup
        assert cosine.T_max == cfg.train_cfg.max_iters - warmup
        assert cosine.end == cfg.train_cfg.max_iters
