"""Turn a model of several data sets into one plain model for each.

    python tools/model_converters/fold_experts.py CONFIG CHECKPOINT OUT_DIR

For each data set OUT_DIR gets ``<name>.pth``, the weights of an ordinary segmentor or
detector with a dense ViT (shared part and expert in one layer) and one decoder, and
``<name>.py``, its config.  The outputs are those of the data set's path through the big
model, the size is that of a model for one data set:

    python tools/test.py OUT_DIR/a.py OUT_DIR/a.pth
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from s5_mm import __version__
from s5_mm.checkpoints import load_address, load_into
from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import load_config
from s5_mm.io.atomic import atomic_open
from s5_mm.models.folding import fold_config, fold_state
from s5_mm.models.multi_dataset import MultiDatasetModel
from s5_mm.registry import MODELS


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', help='config of a model of several data sets')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('out_dir', type=Path, help='folder for the folded models')
    parser.add_argument('--datasets', nargs='+', help='only these data sets')
    add_options_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Fold every data set that was asked for."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(cfg.model)
    if not isinstance(model, MultiDatasetModel):
        raise ValueError(
            f'{args.config}: the model is a {cfg.model.type}, expected '
            's5_mm.MultiDatasetSegmentor or s5_mm.MultiDatasetDetector'
        )
    checkpoint = load_address(args.checkpoint)
    report = load_into(model, checkpoint, args.checkpoint)
    if report.missing:
        raise ValueError(
            f'{args.checkpoint}: {len(report.missing)} tensors of the model are not in '
            f'it, {report.missing[0]} the first; fold a trained model'
        )
    meta = checkpoint.get('meta', {}) if isinstance(checkpoint, dict) else {}
    infos = (meta.get('dataset_meta') or {}).get('datasets', {})
    # All that can fail comes before the first file.
    names = args.datasets or model.datasets
    parts = {
        name: (fold_state(model, name), fold_config(cfg, name, model)) for name in names
    }
    for name, (state, folded_cfg) in parts.items():
        folded = dict(
            state_dict=state,
            meta=dict(
                dataset_name=name,
                dataset_meta=infos.get(name),
                folded_from=Path(args.checkpoint).name,
                s5_mm_version=__version__,
            ),
        )
        target = args.out_dir / f'{name}.pth'
        with atomic_open(target) as file:
            torch.save(folded, file)
        folded_cfg.dump(args.out_dir / f'{name}.py')
        size = sum(value.numel() for value in state.values()) / 1e6
        print(f'{target}: {size:.2f} M values; config {target.with_suffix(".py")}')


if __name__ == '__main__':
    start_command(main)
