"""The ledger of broken images, and the point where there are too many of them."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from mmengine.hooks import Hook
from mmengine.runner import Runner

from s5_mm.registry import HOOKS
from s5_mm.utils.argument_checks import check_number


class TooManyBadImagesError(RuntimeError):
    """More images are broken than the config allows."""


@HOOKS.register_module()
class BadSampleHook(Hook):
    """Write each broken image once to ``<work_dir>/bad_images.jsonl``.

    A line is ``{"path": ..., "reason": ..., "source": ..., "position": ...}``, the
    position in the stream being that of the sample that met the image first.  The
    file is the memory: a resumed run and all ranks of a run that share the directory
    add only what it does not hold yet.  Metainfo is all that is read, never a tensor
    of the device.

    Args:
        max_rate: Share of replaced samples of a source above which the run stops.
            Each rank counts what it saw since it started.
        min_samples: Samples of that source before the rate means anything.
        filename: Name of the file in the work directory.

    Raises:
        ValueError: If an argument is out of its range.
        TooManyBadImagesError: From :meth:`after_train_iter`.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        max_rate: float = 0.01,
        min_samples: int = 1000,
        filename: str = 'bad_images.jsonl',
    ) -> None:
        check_number('max_rate', max_rate, 0, 1)
        check_number('min_samples', min_samples, 1)
        self.max_rate, self.min_samples = max_rate, min_samples
        self.filename = filename
        self._seen: Counter[str] = Counter()
        self._replaced: Counter[str] = Counter()
        self._known: set[str] = set()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Look through the batch that was just used.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: As :func:`s5_mm.branch_collate` gives it.
            outputs: Not used.
        """
        branches = data_batch['data_samples'] if data_batch else {}
        if not isinstance(branches, Mapping):
            branches = {'': branches}
        found: dict[str, tuple] = {}
        for source, samples in branches.items():
            self._seen[source] += len(samples)
            for sample in samples:
                bad = sample.metainfo.get('replaced')
                if not bad:
                    continue
                self._replaced[source] += 1
                key = sample.metainfo.get('sample_key')
                for path, reason in bad:
                    if path not in self._known:
                        found.setdefault(path, (reason, source, key and key[-1]))
        if found:
            self._write(runner, found)
        for source, replaced in self._replaced.items():
            self._check_rate(runner, source, replaced)

    def _write(self, runner: Runner, found: Mapping[str, tuple]) -> None:
        """Add to the ledger what it does not hold yet."""
        name = os.path.join(runner.work_dir, self.filename)
        os.makedirs(runner.work_dir, exist_ok=True)
        with _locked(name) as file:
            self._known |= _read_paths(file)
            for path, (reason, source, position) in found.items():
                if path in self._known:
                    continue
                entry = {
                    'path': path,
                    'reason': reason,
                    'source': source,
                    'position': position,
                }
                file.write(json.dumps(entry).encode() + b'\n')
                self._known.add(path)
                runner.logger.warning(
                    f'broken image replaced by another one: {path}: {reason} '
                    f'(kept in {name})'
                )

    def _check_rate(self, runner: Runner, source: str, replaced: int) -> None:
        """Stop the run if too many samples of a source were replaced."""
        seen = self._seen[source]
        if seen >= self.min_samples and replaced > self.max_rate * seen:
            raise TooManyBadImagesError(
                f'{replaced} of {seen} samples ({replaced / seen:.2%}) of source '
                f'{source!r} had to be replaced, allowed are {self.max_rate:.2%}; '
                f'see {os.path.join(runner.work_dir, self.filename)}, repair the '
                'data or raise max_rate of s5_mm.BadSampleHook'
            )


@contextmanager
def _locked(name: str) -> Iterator[BinaryIO]:
    """Open a file for reading and appending, for one process at a time."""
    with open(name, 'a+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
        file.flush()
        os.fsync(file.fileno())


def _read_paths(file: BinaryIO) -> set[str]:
    """Read the images of a ledger and cut off a line that a kill left unfinished."""
    file.seek(0)
    data = file.read()
    whole = data.rfind(b'\n') + 1
    if whole < len(data):
        file.truncate(whole)
    file.seek(0, os.SEEK_END)
    return {json.loads(line)['path'] for line in data[:whole].splitlines()}
