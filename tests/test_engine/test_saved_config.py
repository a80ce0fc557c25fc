"""The config text of a checkpoint is data."""

import pytest
from mmengine.config import Config

from s5_mm.cli.config import load_config
from s5_mm.engine.loops.saved_config import config_changes, read_saved_config

SETTINGS = dict(
    model=dict(type='A', sizes=(1, 2), rate=-0.5, name="it's", none=None, on=True),
    pipeline=[dict(type='B', scale=(0.5, 2.0)), dict(type='C')],
    table={1: 'one', 'not-a-name': [1, [2, (3,)]]},
)


def test_text_of_the_host_is_read():
    text = Config(SETTINGS, format_python_code=False).pretty_text
    read = read_saved_config(text)
    assert read['model'] == dict(
        type='A', sizes=[1, 2], rate=-0.5, name="it's", none=None, on=True
    )
    assert read['pipeline'][0]['scale'] == [0.5, 2.0]
    assert read['table'] == {1: 'one', 'not-a-name': [1, [2, [3]]]}


@pytest.mark.parametrize(
    'path',
    [
        'configs/s4p/vit-b_rs4p1m.py',
        'configs/finetune_seg/moe-mdf_vit-b.py',
        'configs/demo/fixmatch.py',
    ],
)
def test_text_of_a_run_is_read_whole(path):
    cfg = load_config(path)
    read = read_saved_config(cfg.pretty_text)
    assert list(read) == list(cfg)
    assert read['param_scheduler'] == [dict(own) for own in cfg.param_scheduler]
    assert read['model']['type'] == cfg.model.type


def test_nothing_is_executed(tmp_path):
    target = tmp_path / 'made'
    read = read_saved_config(
        f"a = open({str(target)!r}, 'w')\nb = [x for x in (1, 2)]\nc = 3"
    )
    assert not target.exists()
    assert read == dict(a=f"open({str(target)!r}, 'w')", b='[x for x in (1, 2)]', c=3)


@pytest.mark.parametrize('text', [None, 7, 'a = (', 'a = dict(**1)', 'a = {[]: 1}'])
def test_what_is_no_config_is_none(text):
    assert read_saved_config(text) is None


def test_differences_are_named_by_dotted_keys():
    old = dict(
        model=dict(depth=2, width=3),
        param_scheduler=[dict(type='A', end=5)],
        sizes=[1, 2],
        work_dir='a',
        resume=False,
    )
    new = dict(
        model=dict(depth=4, extra=dict(name='x' * 100)),
        param_scheduler=[dict(type='A', end=6), dict(type='B')],
        sizes=[1, 2],
        work_dir='b',
        resume=True,
    )
    assert config_changes(old, new) == {
        'model.depth': '2 -> 4',
        'model.width': '3 -> (not set)',
        'param_scheduler.0.end': '5 -> 6',
        'model.extra.name': f"(not set) -> '{'x' * 56}...",
        'param_scheduler.1.type': "(not set) -> 'B'",
    }
