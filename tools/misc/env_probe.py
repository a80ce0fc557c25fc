"""Import modules in another process, which may crash, and collect how it went."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable

# Seconds one import may take; a cold network disk is slow.
PROBE_TIMEOUT = 300
PROBE = """
import importlib, json, sys
sys.stdout.flush()
for name in sys.argv[1:]:
    print(json.dumps({'start': name}), flush=True)
    found = {'name': name, 'error': None, 'extra': {}}
    try:
        module = importlib.import_module(name)
        found['where'] = getattr(module, '__file__', None)
        if name == 'torch':
            found['extra'] = {
                'cuda': module.version.cuda,
                'gpus': [module.cuda.get_device_name(i)
                         for i in range(module.cuda.device_count())],
            }
        if name == 'mmcv._ext':
            importlib.import_module('mmcv.ops')
    except BaseException as error:
        found['error'] = f'{type(error).__name__}: {error}'.splitlines()[0]
    print(json.dumps(found), flush=True)
"""


def probe(modules: Iterable[str]) -> dict[str, dict]:
    """Import modules in another process, which may crash.

    mmcv._ext needs torch to be imported before it; the order of ``PIECES`` does that.

    Args:
        modules: Import names.

    Returns:
        Per module ``error`` (``None`` if it imports), ``where`` and ``extra``.
    """
    todo = list(modules)
    results: dict[str, dict] = {}
    while todo:
        text, reason = run_probe(todo)
        started = None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # a module printed something while it was imported
            if not isinstance(entry, dict):
                continue
            started = entry.get('start', started)
            if 'name' in entry:
                results[entry['name']] = entry
        # The process ended within the import of the one it began last.
        culprit = started if started not in results else None
        if culprit is None and not all(name in results for name in todo):
            culprit = next(name for name in todo if name not in results)
        if culprit is not None:
            results[culprit] = {'error': f'the interpreter ended: {reason}'}
        todo = [name for name in todo if name not in results]
    return results


def run_probe(modules: list[str]) -> tuple[str, str]:
    """Run the probe once.

    Args:
        modules: Import names.

    Returns:
        What it printed, and how it ended.
    """
    # Not from the checkout: a folder `s5_mm` there would count as installed.
    try:
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', PROBE, *modules],
            cwd=tempfile.gettempdir(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or ''
        text = output.decode() if isinstance(output, bytes) else output
        return text, f'no answer in {PROBE_TIMEOUT} s'
    return done.stdout, f'exit status {done.returncode}'
