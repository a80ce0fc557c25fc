"""Evaluate a checkpoint with the data and the metrics of a config file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from s5_mm.checkpoints import install_safe_loader
from s5_mm.checkpoints.file_kinds import check_is_file
from s5_mm.cli.arguments import add_config_arguments, parse_config_arguments
from s5_mm.cli.class_check import check_classes
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config, make_work_dir
from s5_mm.cli.runner import CommandRunner
from s5_mm.cli.switches import save_predictions_to, show_predictions, switch_to_tta
from s5_mm.utils.dist import init_cpu_processes


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help="folder for the predictions: masks, or boxes as DOTA's server takes them",
    )
    parser.add_argument('--show', action='store_true', help='show every prediction')
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds a shown picture stays'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation, tta_pipeline'
    )
    add_config_arguments(parser)
    return parse_config_arguments(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Build the runner and test."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    # Before minutes go by; an address is left to those who load it.
    if '://' not in args.checkpoint:
        check_is_file(args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        show_predictions(cfg, args.show, args.show_dir, args.wait_time)
    if args.out:
        save_predictions_to(cfg, args.out)
    if args.tta:
        switch_to_tta(cfg)
    check_classes(cfg, 'test')
    make_work_dir(cfg)
    init_cpu_processes(cfg)
    install_safe_loader()
    runner = CommandRunner.from_cfg(cfg)
    runner.announce('test')
    runner.test()
    for what, folder in (('pictures', args.show_dir), ('predictions', args.out)):
        if folder:
            runner.logger.info(f'{what} in {os.path.abspath(folder)}')


if __name__ == '__main__':
    start_command(main)
