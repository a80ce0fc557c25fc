"""Threads of torch sleep while they wait, unless told otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What OpenMP reads is what the environment holds when torch is first imported.
SCRIPT = """\
import builtins, os
plain = builtins.__import__
def look(name, *args, **kwargs):
    if name == 'torch' and not seen:
        seen.append(os.environ.get('OMP_WAIT_POLICY'))
    return plain(name, *args, **kwargs)
seen = []
builtins.__import__ = look
import s5_mm, torch
print(seen[0])
"""


@pytest.mark.parametrize(('given', 'found'), [(None, 'PASSIVE'), ('ACTIVE', 'ACTIVE')])
def test_the_policy_is_set_before_torch_is_loaded(given, found):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    environment.pop('OMP_WAIT_POLICY', None)
    if given:
        environment['OMP_WAIT_POLICY'] = given
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [found], done.stderr
