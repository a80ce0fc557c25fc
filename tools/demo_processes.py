"""The commands that the demo runs, and what it shows of their logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from s5_mm.utils.processes import die_with_parent

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r'Iter\((train|val|test)\) \[ *(\d+)/(\d+)\]\s*(.*)')
VALUE = re.compile(r'(\w+): +([\d.:e+-]+)')


def call(command: Sequence[str | Path]) -> None:
    """Run a command of this repository and show its progress.

    Args:
        command: Its path from the root of the repository, and its arguments.

    Raises:
        SystemExit: If it fails; its last lines are printed.
        KeyboardInterrupt: If the user interrupts; it has saved its state then.
    """
    environment = {
        **os.environ,
        'PYTHONUNBUFFERED': '1',
        # Threads that spin while they wait are slow when other work runs.
        'OMP_WAIT_POLICY': 'PASSIVE',
        'PYTHONPATH': os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
        ),
    }
    script, *rest = map(str, command)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # Ctrl-C reaches this process alone, which then asks for a checkpoint.
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    last: deque[str] = deque(maxlen=40)
    try:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if short := condense(line):
                print(f'      {short}', flush=True)
        code = process.wait()
    except KeyboardInterrupt:
        print('\nsaving a checkpoint ...', flush=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.kill()
        raise
    if code:
        print('\n'.join(last))
        raise SystemExit(f'{script} ended with status {code}; its log is above')


def condense(line: str) -> str:
    """Shorten a line of the log to what a user wants to see.

    Args:
        line: A line of mmengine's log.

    Returns:
        The short line, '' for nothing.
    """
    match = LINE.search(line)
    if not match:
        loud = ' - ERROR - ' in line or 'no pseudo-label' in line
        return line.strip() if loud else ''
    mode, now, last, rest = match.groups()
    values = dict(VALUE.findall(rest))
    if mode != 'train':
        known = mode == 'val' and 'mIoU' in values
        return f'{" ":6}validation: mIoU {values["mIoU"]}' if known else ''
    shown = [f'{key} {values[key]}' for key in ('loss', 'mask_ratio') if key in values]
    eta = values.get('eta', '?')
    return f'{now:>5}/{last}  eta {eta}  {values.get("time", "?")} s/it  ' + '  '.join(
        shown
    )
