"""The part of the command line that all commands over a config share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from mmengine.config import DictAction


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--cfg-options`` and the launcher's arguments.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (work_dirs/<config name>)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. optim_wrapper.optimizer.lr=1e-4; '
        'data_root=FOLDER moves all data sets',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch's old launcher passes the rank as an argument, the new one does not.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def parse_config_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parse, and tell mmengine the local rank.

    Args:
        parser: Parser with the arguments of :func:`add_config_arguments`.
        argv: Arguments, those of the process by default.

    Returns:
        What was parsed.
    """
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
