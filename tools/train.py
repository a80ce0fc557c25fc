"""Train any model of s5_mm from a config file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from s5_mm.checkpoints import install_safe_loader
from s5_mm.cli.arguments import add_config_arguments, parse_config_arguments
from s5_mm.cli.class_check import check_classes
from s5_mm.cli.command import STOPPED, CommandParser, start_command
from s5_mm.cli.config import load_config, make_work_dir
from s5_mm.cli.runner import CommandRunner
from s5_mm.cli.switches import resume_from, switch_to_amp
from s5_mm.utils.dist import init_cpu_processes


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or from the last one in the work dir',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bfloat16', 'float16'],
        help='mixed precision; auto, unless told otherwise: bfloat16 where the device '
        'has it, float32 elsewhere',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate from auto_scale_lr.base_batch_size to this run',
    )
    add_config_arguments(parser)
    return parse_config_arguments(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Build the runner and train."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.amp:
        switch_to_amp(cfg, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'{args.config} has no auto_scale_lr.base_batch_size, the batch size '
                'that its learning rate was made for; --auto-scale-lr needs it'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        resume_from(cfg, args.resume)
    check_classes(cfg, 'train', 'val')
    make_work_dir(cfg)
    init_cpu_processes(cfg)
    install_safe_loader()
    runner = CommandRunner.from_cfg(cfg)
    runner.announce('train')
    try:
        runner.train()
    except KeyboardInterrupt:
        pointer = Path(runner.work_dir, 'last_checkpoint')
        runner.logger.warning(
            f'interrupted at iteration {runner.iter}. '
            + (
                f'The same command with --resume goes on from {pointer.read_text()}'
                if pointer.is_file()
                else 'Nothing is saved yet: the same command starts anew'
            )
        )
        return STOPPED
    return 0


if __name__ == '__main__':
    start_command(main)
