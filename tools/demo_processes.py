"""The commands that the demo runs, and what it shows of their logs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from s5_mm.io.heartbeat import Heartbeat
from s5_mm.io.processes import command_environment, die_with_parent

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r'Iter\((train|val|test)\) \[ *(\d+)/(\d+)\]\s*(.*)')
STAGE = re.compile(r'(\w+): ([\d,]+)/\2 (.*)')
VALUE = re.compile(r'(\w+): +([\d.:e+-]+)')


def call(command: Sequence[str | Path], shown: bool = True) -> None:
    """Run a command of this repository and show its progress.

    Args:
        command: Its path from the root of the repository, and its arguments.
        shown: False shows only that it is at work.

    Raises:
        SystemExit: If it fails; its last lines are printed.
        KeyboardInterrupt: If the user interrupts; it has saved its state then.
    """
    script, *rest = map(str, command)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=command_environment(ROOT),
        # Ctrl-C reaches this process alone, which then asks for a checkpoint.
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    last: deque[str] = deque(maxlen=40)
    heartbeat = Heartbeat(write=_show)
    try:
        with heartbeat.during(Path(script).stem):
            for line in process.stdout or ():
                last.append(line.rstrip())
                if shown and (short := condense(line)):
                    _show(short)
                    heartbeat.seen()
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


def _show(text: str) -> None:
    """Print a line below the heading of a step."""
    print(f'      {text}', flush=True)


def condense(line: str) -> str:
    """Shorten a line of the log to what a user wants to see.

    Args:
        line: A line of mmengine's log, or of the progress of curation.

    Returns:
        The short line, '' for nothing.
    """
    match = LINE.search(line)
    if not match:
        if stage := STAGE.match(line):
            name, count, rest = stage.groups()
            return f'{name}: {count} {rest.strip()}'
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
