"""How the processes of a launcher find each other."""

from __future__ import annotations

import os
import socket
import struct
import subprocess

import torch
import torch.distributed as dist
from mmengine.config import Config

# What a launcher tells its processes: rank, rank on this machine, number of all.
_PLACE = {
    'pytorch': ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'),
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_LOCAL_RANK',
        'OMPI_COMM_WORLD_SIZE',
    ),
}


def init_cpu_processes(cfg: Config) -> None:
    """Let the processes of a launcher find each other; on CPUs open their group.

    mmengine selects a CUDA device before it opens the group, whatever the backend
    (0.10.12), so every launcher fails in it on a machine without a GPU.  A group that
    is already there is left alone.  With GPUs mmengine opens the group, and gloo serves
    beside it, see :class:`s5_mm.engine.hooks.PreemptionHook`.

    Args:
        cfg: Config with ``launcher``; without a GPU ``env_cfg.dist_cfg.backend``
            becomes 'gloo'.

    Raises:
        RuntimeError: If the process was not started by the launcher that is named.
    """
    if cfg.launcher == 'none':
        return
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        cfg.env_cfg.dist_cfg.backend = 'gloo'
    if dist.is_initialized():
        return
    _check_launcher(cfg.launcher)
    if cfg.launcher != 'pytorch':
        _find_place(cfg.launcher, cfg.env_cfg.dist_cfg.get('port'))
    _choose_interface()
    if on_cpu:
        dist.init_process_group('gloo')


def _check_launcher(launcher: str) -> None:
    """Refuse a launcher that has not started this process.

    Raises:
        RuntimeError: If a variable of the launcher is missing.
    """
    rank, _, world = _PLACE[launcher]
    missing = [name for name in (rank, world) if name not in os.environ]
    if missing:
        start = {
            'pytorch': 'torchrun (bash tools/dist_train.sh, dist_test.sh)',
            'slurm': 'srun',
            'mpi': 'mpirun',
        }
        raise RuntimeError(
            f'--launcher {launcher}: {" and ".join(missing)} not set; start the '
            f'command with {start[launcher]}'
        )


def _find_place(launcher: str, port: int | None) -> None:
    """Translate what Slurm or MPI say of this process into torch's variables.

    Args:
        launcher: 'slurm' or 'mpi'.
        port: Port of the first process; by default ``MASTER_PORT``, else 29500.
    """
    rank, local_rank, world = _PLACE[launcher]
    # The command line's default for LOCAL_RANK is there already, and is 0 everywhere.
    os.environ.update(
        RANK=os.environ[rank],
        LOCAL_RANK=os.environ.get(local_rank, '0'),
        WORLD_SIZE=os.environ[world],
    )
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host(launcher)


def _first_host(launcher: str) -> str:
    """Name the machine of the first process.

    Args:
        launcher: 'slurm' or 'mpi'.

    Raises:
        RuntimeError: If it cannot be known.
    """
    # A step may run on fewer nodes than its job.
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST')
    if launcher == 'slurm' and nodes:
        command = ['scontrol', 'show', 'hostnames', nodes]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]
    raise RuntimeError(
        f'--launcher {launcher}: set MASTER_ADDR to the machine of the first process'
    )


def _choose_interface() -> None:
    """Let gloo use the network that reaches the first machine.

    gloo takes the address that the machine's own name has.  In the ``/etc/hosts`` of
    many distributions that is 127.0.1.1, where no other machine can reach it.
    """
    if 'GLOO_SOCKET_IFNAME' not in os.environ and 'MASTER_ADDR' in os.environ:
        name = interface_towards(os.environ['MASTER_ADDR'])
        if name is not None:
            os.environ['GLOO_SOCKET_IFNAME'] = name


def interface_towards(host: str) -> str | None:
    """Name the network interface from which this machine reaches another.

    Args:
        host: Name or address.

    Returns:
        Name of the interface; None if it is the loopback or cannot be found, as with
        IPv6 alone.
    """
    import fcntl  # not on Windows

    get_address = 0x8915  # SIOCGIFADDR of Linux
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: the kernel only looks up the way.
            probe.connect((host, 9))
        except OSError:
            return None
        own = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            request = struct.pack('40s', name.encode())
            try:
                answer = fcntl.ioctl(probe, get_address, request)
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == own and not own.startswith('127.'):
                return name
    return None
