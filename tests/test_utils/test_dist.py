"""Processes that Slurm or MPI start find each other on machines without a GPU."""

import os
import socket
import subprocess

import pytest
import torch
from mmengine.config import Config

from s5_mm.utils import dist as module
from s5_mm.utils.dist import init_cpu_processes, interface_towards
from tests.support.warm_python import warm_python

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='with a GPU mmengine opens the group itself'
)
# One task: its place as torch and mmengine see it, and the sum of all ranks.
TASK = """
import os, sys
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import get_dist_info
from s5_mm.cli.arguments import add_config_arguments, parse_config_arguments
from s5_mm.utils.dist import init_cpu_processes
import argparse

parser = argparse.ArgumentParser()
add_config_arguments(parser)
args = parse_config_arguments(parser)
cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl')), launcher=args.launcher))
init_cpu_processes(cfg)
total = torch.tensor(dist.get_rank() + 1)
dist.all_reduce(total)
print(*get_dist_info(), os.environ['LOCAL_RANK'], int(total),
      cfg.env_cfg.dist_cfg.backend, os.environ['MASTER_ADDR'])
dist.destroy_process_group()
"""
SLURM = ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS')
MPI = ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE')
FOREIGN = ('SLURM', 'OMPI', 'MASTER_', 'RANK', 'LOCAL_RANK', 'WORLD_SIZE')


def _environment(**changes):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    return {**clean, 'OMP_NUM_THREADS': '1', **changes}


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def _run_two(launcher, names, **environment):
    tasks = []
    for rank in '01':
        place = dict(zip(names, (rank, rank, '2'), strict=True))
        tasks.append(
            subprocess.Popen(
                [warm_python(), '-W', 'ignore', '-c', TASK, '--launcher', launcher],
                env=_environment(**place, **environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    results = [task.communicate(timeout=120) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], results
    return [out.split() for out, _ in results]


def test_slurm_tasks_meet_on_the_first_host_of_their_step(port, tmp_path):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames step[1-2]" ] || exit 1\n'
        'echo 127.0.0.1\necho other\n'
    )
    scontrol.chmod(0o755)
    found = _run_two(
        'slurm',
        SLURM,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        SLURM_NODELIST='job[1-4]',
        SLURM_STEP_NODELIST='step[1-2]',
        MASTER_PORT=port,
    )
    assert found == [
        ['0', '2', '0', '3', 'gloo', '127.0.0.1'],
        ['1', '2', '1', '3', 'gloo', '127.0.0.1'],
    ]


@pytest.mark.parametrize(('launcher', 'names'), [('slurm', SLURM), ('mpi', MPI)])
def test_address_of_the_environment_wins(port, launcher, names):
    found = _run_two(
        launcher,
        names,
        SLURM_NODELIST='unknown[1-4]',
        MASTER_ADDR='localhost',
        MASTER_PORT=port,
    )
    assert [line[:4] for line in found] == [['0', '2', '0', '3'], ['1', '2', '1', '3']]


@pytest.mark.parametrize(('launcher', 'tool'), [('slurm', 'srun'), ('mpi', 'mpirun')])
def test_process_of_no_launcher_is_told_how_to_start(monkeypatch, launcher, tool):
    for name in (*SLURM, *MPI):
        monkeypatch.delenv(name, raising=False)
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl')), launcher=launcher))
    with pytest.raises(RuntimeError, match=f'start the command with {tool}'):
        init_cpu_processes(cfg)


def test_mpi_without_address_says_so(monkeypatch):
    for name, value in zip(MPI, '001', strict=True):
        monkeypatch.setenv(name, value)
    for name in ('MASTER_ADDR', 'MASTER_PORT', 'RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl')), launcher='mpi'))
    with pytest.raises(RuntimeError, match='set MASTER_ADDR'):
        init_cpu_processes(cfg)


def test_interface_towards_another_machine():
    assert interface_towards('127.0.0.1') is None
    assert interface_towards('no-such-host.invalid') is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))  # an address of no machine
        except OSError:
            pytest.skip('no network here')
        own = probe.getsockname()[0]
    name = interface_towards(own)
    assert name in [name for _, name in socket.if_nameindex()]
    assert name != 'lo'


@pytest.mark.parametrize('chosen', ['mine', None])
def test_gloo_uses_the_interface_towards_the_first_machine(monkeypatch, chosen):
    monkeypatch.setenv('MASTER_ADDR', 'first')
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('WORLD_SIZE', '1')
    monkeypatch.setenv('GLOO_SOCKET_IFNAME', chosen or '')
    if chosen is None:
        monkeypatch.delenv('GLOO_SOCKET_IFNAME')
    monkeypatch.setattr(module, 'interface_towards', {'first': 'found'}.get)
    opened = []
    monkeypatch.setattr(module.dist, 'init_process_group', opened.append)
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl')), launcher='pytorch'))
    init_cpu_processes(cfg)
    assert opened == ['gloo']
    assert os.environ['GLOO_SOCKET_IFNAME'] == (chosen or 'found')
