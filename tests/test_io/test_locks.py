"""A lock ends with its process, whatever the processes do that it has forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from s5_mm.io.locks import file_lock

OWNER = """
import os, signal, sys, time
from s5_mm.io.locks import file_lock
with open(sys.argv[1], 'w') as file, file_lock(file):
    child = os.fork()
    if not child:
        file.write('not to the file')
        file.flush()
        print(os.getpid(), flush=True)
        time.sleep(60)
        os._exit(0)
    signal.pause()
"""


def test_a_killed_owners_child_does_not_keep_the_lock(tmp_path):
    path = tmp_path / 'lock'
    command = [sys.executable, '-W', 'ignore', '-c', OWNER, str(path)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child = int(owner.stdout.readline())
    try:
        with open(path, 'a') as file:
            with pytest.raises(BlockingIOError), file_lock(file):
                pass
            owner.kill()
            owner.wait()
            os.kill(child, 0)  # it lives
            with file_lock(file):
                assert not path.read_text()
    finally:
        os.kill(child, signal.SIGKILL)
        owner.stdout.close()
