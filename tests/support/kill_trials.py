"""Training in child processes that are killed."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

# What building a runner imports, a few seconds of every start otherwise.
_PRELOAD = (
    'torchvision',
    's5_mm.models',
    's5_mm.datasets',
    's5_mm.engine.hooks',
    's5_mm.engine.loops',
    's5_mm.engine.optimizers',
    's5_mm.evaluation',
    's5_mm.visualization',
)
#: Objects of the modules before it cost a collection nothing; data sets collect.
FROZEN = f'{__package__}.frozen'


@dataclass
class KillReport:
    """What happened to a training that was killed again and again.

    Attributes:
        kills: Number of processes that died of SIGKILL.
        positions: Last checkpoint at the moment of every kill; '' for none.
        work_dirs: Directories of the trainings that reached their end.
    """

    kills: int = 0
    positions: list[str] = field(default_factory=list)
    work_dirs: list[Path] = field(default_factory=list)


class TrainingChild:
    """A training in a process of its own, forked from a server with warm imports.

    Args:
        config: Path of a config file, or a config as a dict.
        work_dir: Directory of the run; training resumes from its last checkpoint.
        overrides: Dotted keys to change in the config, as ``--cfg-options`` does.
        preload: Modules to import; the fork server does it once for all children if
            this is the first child of its process, else the child does.
        environment: Environment variables of the process.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | dict[str, Any],
        work_dir: str | os.PathLike[str],
        overrides: dict[str, Any] | None = None,
        preload: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([*_PRELOAD, __name__, *preload, FROZEN])
        self._ready, theirs = context.Pipe(duplex=False)
        self._log = Path(work_dir, 'child.log')
        self.process = context.Process(
            target=_train,
            args=(
                config,
                str(work_dir),
                overrides or {},
                environment or {},
                tuple(preload),
                theirs,
            ),
        )
        self.process.start()
        theirs.close()

    def wait_ready(self, timeout: float = 120) -> None:
        """Wait until the runner is built and training is about to start.

        Args:
            timeout: Seconds to wait.
        """
        if self._ready.poll(timeout):
            with contextlib.suppress(EOFError):  # it died; ``finish`` says how
                self._ready.recv()

    def send(self, number: int, workers: bool = False) -> None:
        """Send a signal, if the process still runs.

        Args:
            number: The signal.
            workers: Send it to the data workers too, as a scheduler does.
        """
        send = os.killpg if workers else os.kill
        with contextlib.suppress(ProcessLookupError):
            send(self.process.pid, number)

    def finish(self, timeout: float = 300) -> int:
        """Wait for the end.

        Args:
            timeout: Seconds to wait.

        Returns:
            The exit status; minus the signal's number where one killed it.

        Raises:
            TimeoutError: The process is still running; says where it stands.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.send(signal.SIGABRT)  # faulthandler writes where every thread stands
            time.sleep(1)
            self.send(signal.SIGKILL)
            log = self._log.read_text()[-4000:] if self._log.exists() else 'no log'
            raise TimeoutError(f'training did not end within {timeout} s:\n{log}')
        return self.process.exitcode


def run_with_kills(
    config: str | os.PathLike[str] | dict[str, Any],
    work_dir: str | os.PathLike[str],
    kills: int,
    max_delay: float,
    seed: int = 0,
    overrides: Sequence[dict[str, Any]] = ({},),
    preload: Sequence[str] = (),
) -> KillReport:
    """Train, kill at random moments, resume, until enough have died.

    A training that reaches its end before that is started again in a new directory.
    The last one is left to finish.

    Args:
        config: Path of a config file, or a config as a dict.
        work_dir: Parent of the directories of the runs.
        kills: Number of kills.
        max_delay: Kills come after a uniform time from 0 to this, in seconds, counted
            from the start of training.
        seed: Seed of the delays.
        overrides: Changes of the config, taken in turn by the successive processes.
        preload: Modules that the fork server imports once.

    Returns:
        What happened.

    Raises:
        RuntimeError: A child failed by itself.
    """
    draws, report, trial = random.Random(seed), KillReport(), 0
    current = Path(work_dir, 'run_0')
    while True:
        child = TrainingChild(
            config, current, overrides[trial % len(overrides)], preload
        )
        trial += 1
        if report.kills < kills:
            child.wait_ready()
            time.sleep(draws.uniform(0, max_delay))
            child.send(signal.SIGKILL)
        status = child.finish()
        if status == 0:
            report.work_dirs.append(current)
            if report.kills >= kills:
                return report
            current = Path(work_dir, f'run_{len(report.work_dirs)}')
        elif status == -signal.SIGKILL:
            report.kills += 1
            pointer = current / 'last_checkpoint'
            report.positions.append(pointer.read_text() if pointer.exists() else '')
        else:
            log = current / 'child.log'
            raise RuntimeError(f'exit status {status}:\n{log.read_text()[-4000:]}')


def _train(
    config: str | os.PathLike[str] | dict[str, Any],
    work_dir: str,
    overrides: dict[str, Any],
    environment: dict[str, str],
    preload: Sequence[str],
    ready: Connection,
) -> None:
    """Train in this process, its output in ``work_dir/child.log``."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    from s5_mm.checkpoints import install_safe_loader
    from s5_mm.utils.dist import init_cpu_processes

    os.setpgrp()
    os.environ.update(environment)
    os.makedirs(work_dir, exist_ok=True)
    log = os.open(Path(work_dir, 'child.log'), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    torch.set_num_threads(1)
    for name in preload:  # the server may have been started for other modules
        importlib.import_module(name)
    install_safe_loader()
    # Formatting the config takes a tenth of a second in every checkpoint.
    make = Config if isinstance(config, dict) else Config.fromfile
    cfg = make(config, format_python_code=False)
    cfg.merge_from_dict(overrides)
    cfg.work_dir, cfg.resume, cfg.load_from = work_dir, True, None
    init_cpu_processes(cfg)
    runner = Runner.from_cfg(cfg)
    ready.send(True)
    runner.train()
