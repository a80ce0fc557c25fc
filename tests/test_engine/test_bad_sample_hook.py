"""The ledger: each broken image once, whoever meets it; and the limit."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.structures import BaseDataElement

from s5_mm.engine.hooks.bad_sample_hook import BadSampleHook, TooManyBadImagesError
from s5_mm.registry import HOOKS
from s5_mm.utils.randomness import SampleKey


def batch(*bad: tuple[str, ...], source: str = 'unsup', first: int = 0) -> dict:
    """A batch whose samples replaced these images."""
    samples = []
    for position, paths in enumerate(bad, first):
        meta = {'sample_key': SampleKey(0, 1, position)}
        if paths:
            meta['replaced'] = [(path, f'{path} is broken') for path in paths]
        samples.append(BaseDataElement(metainfo=meta))
    return {'data_samples': {'sup': [BaseDataElement()], source: samples}}


def runner(work_dir: Path) -> SimpleNamespace:
    return SimpleNamespace(work_dir=str(work_dir), logger=logging.getLogger('test'))


def ledger(work_dir: Path) -> list[dict]:
    lines = (work_dir / 'bad_images.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_each_image_once_across_iterations_and_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = HOOKS.build({'type': 's5_mm.BadSampleHook'})
    work = runner(tmp_path / 'work')
    hook.after_train_iter(work, 0, batch((), ()))
    assert not (tmp_path / 'work').exists()
    hook.after_train_iter(work, 1, batch((), ('a', 'b'), ('a',), first=7))
    hook.after_train_iter(work, 2, batch(('b',), ('c',), first=10))
    assert [entry['path'] for entry in ledger(tmp_path / 'work')] == ['a', 'b', 'c']
    assert ledger(tmp_path / 'work')[0] == {
        'path': 'a',
        'reason': 'a is broken',
        'source': 'unsup',
        'position': 8,
    }
    assert caplog.text.count('broken image replaced by another one') == 3
    hook = BadSampleHook()  # a resumed run
    hook.after_train_iter(work, 2, batch(('b',), ('d',), first=10))
    assert [entry['path'] for entry in ledger(tmp_path / 'work')] == [
        'a',
        'b',
        'c',
        'd',
    ]


def test_a_line_that_a_kill_left_unfinished_is_written_again(tmp_path: Path) -> None:
    work = runner(tmp_path)
    BadSampleHook().after_train_iter(work, 0, batch(('a',), ('b',)))
    file = tmp_path / 'bad_images.jsonl'
    file.write_bytes(file.read_bytes()[:-20])
    BadSampleHook().after_train_iter(work, 0, batch(('a',), ('b',)))
    assert [entry['path'] for entry in ledger(tmp_path)] == ['a', 'b']


def _rank(work_dir: Path, rank: int) -> None:
    hook = BadSampleHook(max_rate=1)
    for step in range(20):
        paths = [(f'{(step + rank) % 15}',), (f'{step}-{rank}',)]
        hook.after_train_iter(runner(work_dir), step, batch(*paths))


def test_ranks_share_the_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, get_context('fork')) as pool:
        for job in [pool.submit(_rank, tmp_path, rank) for rank in range(3)]:
            job.result()
    paths = [entry['path'] for entry in ledger(tmp_path)]
    assert len(paths) == len(set(paths)) == 15 + 60


def test_too_many_stop_the_run(tmp_path: Path) -> None:
    hook, work = BadSampleHook(max_rate=0.25, min_samples=8), runner(tmp_path)
    hook.after_train_iter(work, 0, batch(('a',), ('a',), (), ()))  # too early to tell
    hook.after_train_iter(work, 1, batch((), (), (), ()))  # 2 of 8: allowed
    message = (
        r"3 of 9 samples \(33\.33%\) of source 'unsup' had to be "
        r'replaced, allowed are 25\.00%; see .*bad_images\.jsonl'
    )
    with pytest.raises(TooManyBadImagesError, match=message):
        hook.after_train_iter(work, 2, batch(('a',)))


def test_sources_are_counted_apart(tmp_path: Path) -> None:
    hook, work = BadSampleHook(max_rate=0.5, min_samples=4), runner(tmp_path)
    for step in range(8):  # would be 1 in 9 of all samples
        hook.after_train_iter(work, step, batch(*[()] * 8, source='big'))
    with pytest.raises(TooManyBadImagesError, match="of source 'small'"):
        hook.after_train_iter(work, 9, batch(*[('a',)] * 4, source='small'))


def test_batches_of_other_kinds(tmp_path: Path) -> None:
    hook = BadSampleHook()
    hook.after_train_iter(runner(tmp_path), 0, None)
    plain = batch(('a',))['data_samples']['unsup']
    hook.after_train_iter(runner(tmp_path), 0, {'data_samples': plain})
    assert len(ledger(tmp_path)) == 1


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'max_rate': 2}, 'max_rate=2, expected 0 to 1'),
        ({'min_samples': 0}, 'min_samples=0, expected at least 1'),
    ],
)
def test_errors(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BadSampleHook(**kwargs)
