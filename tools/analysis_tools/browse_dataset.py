"""Draw what a config really feeds its model: images, views, masks, boxes.

    python tools/analysis_tools/browse_dataset.py CONFIG [--out DIR] [--batches 2]
        [--cfg-options data_root=FOLDER]

The batches are those of the config's own loader, sampler and preprocessor, the first
ones of a run with the same seed.  For each of them a PNG of every data set or branch:
the image as loaded and augmented; as it is fed to the model, its normalisation undone,
its channels as red, green and blue; or its weak view (hatched: padding), its strong
view, and which part of that CutMix brought; masks in the colours of their classes
(hatched: ignored); oriented boxes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.registry import MODELS
from s5_mm.utils.batch_size import pass_batch_size
from s5_mm.visualization.batches import batch_panels


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    add = parser.add_argument
    add('config', help='config file of a run')
    add('--out', type=Path, default=Path('work_dirs/browse'), help='folder of the PNG')
    add('--split', choices=('train', 'val', 'test'), default='train')
    add('--batches', type=int, default=1, help='how many are drawn')
    add('--samples', type=int, default=4, help='of each data set in a batch')
    add('--tile-size', type=int, default=256, help='side of a picture in pixels')
    add('--seed', type=int, help="of the order and the draws (the config's, or 0)")
    add_options_argument(parser)
    return parser.parse_args(argv)


def build_preprocessor(config: Config) -> nn.Module:
    """Build the preprocessor as the model of a config does.

    Args:
        config: The config.

    Returns:
        The module.

    Raises:
        ValueError: If the config has none.
    """
    model, found = config.get('model') or {}, None
    for part in (model, model.get('segmentor') or {}, model.get('detector') or {}):
        found = found or part.get('data_preprocessor')
    found = found or config.get('data_preprocessor')
    if not found:
        raise ValueError(
            f'{config.filename}: no model.data_preprocessor, expected one, as it '
            'decides what the model is fed'
        )
    return MODELS.build(found)


def browse(config: Config, args: argparse.Namespace) -> list[Path]:
    """Draw the first batches of a config.

    Args:
        config: The config.
        args: The command line.

    Returns:
        The files that were written.

    Raises:
        ValueError: If the config lacks the split or the preprocessor.
    """
    loader = config.get(f'{args.split}_dataloader')
    if not loader:
        raise ValueError(f'{config.filename}: no {args.split}_dataloader')
    # In this process: a few batches are not worth the start of workers.
    loader = {**loader, 'num_workers': 0, 'persistent_workers': False}
    loader.pop('prefetch_factor', None)
    seed = args.seed
    if seed is None:
        seed = (config.get('randomness') or {}).get('seed') or 0
    torch.manual_seed(seed)
    batches = Runner.build_dataloader(pass_batch_size(loader), seed=seed)
    preprocessor = build_preprocessor(config)
    args.out.mkdir(parents=True, exist_ok=True)
    written = []
    for number, raw in enumerate(islice(batches, args.batches)):
        with torch.no_grad():
            fed = preprocessor(raw, args.split == 'train')
        panels = batch_panels(
            raw,
            fed,
            preprocessor,
            batches.dataset.metainfo,
            args.samples,
            args.tile_size,
            scale_boxes=args.split != 'train',
        )
        for name, picture in panels.items():
            parts = [args.split, f'{number:03}', name]
            path = args.out / ('_'.join(filter(None, parts)) + '.png')
            path.write_bytes(cv2.imencode('.png', picture[..., ::-1])[1].tobytes())
            written.append(path)
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmseg'))
    for path in browse(config, args):
        print(path)


if __name__ == '__main__':
    start_command(main)
