"""Run a function in several gloo processes on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Fake tensors, and so torch.compile, pretend that there are GPUs.  Autograd would start
# a thread for each of them in its first call, and refuse to work in forked processes.
torch.ones((), requires_grad=True).backward()


def run_ranks(function: Callable[..., Any], world: int, folder: Path, *args) -> list:
    """Call ``function(rank, world, *args)`` in ``world`` processes.

    The function lives at module level of an importable test module; what it returns
    must be loadable with ``weights_only``.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(
        _rank, (function, world, port, folder, args), nprocs=world, start_method='fork'
    )
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(world)]


def _rank(rank, function, world, port, folder, args):
    os.environ.update(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
    )
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world)
    torch.save(function(rank, world, *args), folder / f'rank{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()
