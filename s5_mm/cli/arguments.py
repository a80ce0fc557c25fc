"""The part of the command line that all commands over a config share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction


class OptionsAction(DictAction):
    """mmengine's ``KEY=VALUE`` arguments; what has another form is refused by name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add the settings to those of the option that were given before.

        Args:
            parser: Ends the command if an argument has another form.
            namespace: Gets the settings.
            values: The arguments.
            option_string: The option.
        """
        for text in values:
            key, sign, value = text.partition('=')
            if not (key and sign and value):
                parser.error(
                    f'{option_string}: expected KEY=VALUE, found {text!r}, e.g. '
                    'train_cfg.max_iters=1000'
                )
            if any(value.count(a) != value.count(b) for a, b in ('()', '[]')):
                parser.error(f'{option_string} {text}: a bracket is not closed')
            if re.search(r'\{|\bdict\(', value):
                parser.error(
                    f'{option_string} {text}: a value is a number, a word or a list; '
                    'set the keys of a dict one by one (KEY.part=VALUE), or write it '
                    'into a config whose _base_ is this one'
                )
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, RecursionError):  # of mmengine's parser of lists
            parser.error(
                f'{option_string} {" ".join(values)}: expected lists such as [1,2] or '
                '[(1,2),(3,4)], with brackets around the whole'
            )


def add_options_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. optim_wrapper.optimizer.lr=1e-4, '
        'and its variables, e.g. max_iters=1000; data_root=FOLDER moves all data sets',
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--cfg-options`` and the launcher's arguments.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (work_dirs/<config name>)'
    )
    add_options_argument(parser)
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


def named_run(text: str) -> tuple[str, list[str]]:
    """Read one ``name=path[,path...]``.

    Args:
        text: The argument.

    Returns:
        The name and the paths of its runs.
    """
    name, sign, paths = text.partition('=')
    if not (name and sign and all(paths.split(','))):
        raise argparse.ArgumentTypeError(
            f'{text!r} found, expected name=path[,path...]'
        )
    return name, paths.split(',')
