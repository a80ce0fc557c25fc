"""Print the parameters of configured models as the paper's Tables 1 and 3 count them.

    python tools/analysis_tools/get_params.py CONFIG [CONFIG ...] [--json FILE]

One row of a Markdown table for each config: parameters in millions, of the backbone
(with its feature pyramid) and of the decoders, and again split into what all data sets
share and what each has of its own (its decoder, its expert).  Methods are the paper's:
SDF one data set, MDF several on one dense backbone, MoE-MDF several with experts.

``alpha`` is the true share ``part_features / width``; ``paper`` is what the paper's
Table 3 calls it: for ViT-B (width 768) it says 1/8, 1/4 and 1/2, and its parameter
counts are those of 128, 256 and 512 features, 1/6, 1/3 and 2/3.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from torch import nn

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.cli.config import read_with_options
from s5_mm.cli.meta import build_on_meta, count_params

#: part_features of the width that Table 3 is about -> the label it prints.
PAPER_ALPHA = {768: {128: '1/8', 256: '1/4', 512: '1/2'}}


class Row(NamedTuple):
    """One row of the table; numbers of parameters, not millions.

    Attributes:
        file: Config file.
        method: 'SDF', 'MDF', 'MoE-MDF', or '-' for a model without data sets.
        datasets: Names of the data sets that have parts of their own.
        total: All parameters.
        backbone: Those of the backbone with its feature pyramid.
        decoders: All others.
        shared: Those that every data set uses.
        own: Those of each data set alone.
        part_features: Output features of an expert, None without experts.
        alpha: part_features / width as a fraction, '-' without experts.
        paper_alpha: What the paper calls it, '-' where it says nothing.
    """

    file: str
    method: str
    datasets: tuple[str, ...]
    total: int
    backbone: int
    decoders: int
    shared: int
    own: dict[str, int]
    part_features: int | None
    alpha: str
    paper_alpha: str


def dataset_names(model: nn.Module) -> tuple[str, ...]:
    """Find the data sets that a model has parts for.

    Args:
        model: The model.

    Returns:
        ``backbone.datasets`` if it has that, else the keys of the model's first
        ``nn.ModuleDict`` (``decode_heads``, ...), else nothing.
    """
    named = getattr(getattr(model, 'backbone', None), 'datasets', None)
    if named:
        return tuple(named)
    dicts = (child for child in model.children() if isinstance(child, nn.ModuleDict))
    return tuple(next(dicts, ()))


def own_params(model: nn.Module, datasets: Sequence[str]) -> dict[str, int]:
    """Count what belongs to one data set alone.

    Args:
        model: The model.
        datasets: Names of the data sets, in the order of the experts.

    Returns:
        For each data set the parameters below a module of its name, and below its
        number in a module ``experts``; experts in one tensor are shared out evenly.
    """
    own = dict.fromkeys(datasets, 0)
    for name, param in model.named_parameters():
        parts = name.split('.')
        owner = next((part for part in parts if part in own), None)
        if owner is None and 'experts' in parts:
            number = parts[parts.index('experts') + 1 :][:1]
            if number and number[0].isdecimal():
                owner = datasets[int(number[0])]
            else:
                for dataset in own:
                    own[dataset] += param.numel() // len(own)
        if owner is not None:
            own[owner] += param.numel()
    return own


def count(model: nn.Module, file: str = '') -> Row:
    """Count a model.

    Args:
        model: A model with a ``backbone``.
        file: Name of the row.

    Returns:
        The row.

    Raises:
        ValueError: If it has no ``backbone``.
    """
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        raise ValueError(f'{file}: {type(model).__name__} has no backbone to count')
    datasets = dataset_names(model)
    part = getattr(backbone, 'part_features', None) or None
    method = '-'
    if datasets:
        several = 'MoE-MDF' if part else 'MDF'
        method = several if len(datasets) > 1 else 'SDF'
    total, inside = count_params(model), count_params(backbone)
    own = own_params(model, datasets)
    width = getattr(backbone, 'embed_dims', None)
    return Row(
        file=file,
        method=method,
        datasets=datasets,
        total=total,
        backbone=inside,
        decoders=total - inside,
        shared=total - sum(own.values()),
        own=own,
        part_features=part,
        alpha=str(Fraction(part, width)) if part and width else '-',
        paper_alpha=PAPER_ALPHA.get(width, {}).get(part, '-'),
    )


def markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table that is also readable as it is.

    Args:
        rows: The rows.

    Returns:
        The table; below it, what SDF models of one size take together if each is for
        another data set.
    """
    heads = ('config', 'method', 'data sets', 'params [M]', 'backbone', 'decoders')
    heads += ('shared', 'own', 'part_features', 'alpha', 'paper')
    lines = [heads]
    for row in rows:
        counts = (row.total, row.backbone, row.decoders, row.shared)
        counts += (sum(row.own.values()),)
        millions = [f'{count / 1e6:.2f}' for count in counts]
        names = str(len(row.datasets) or '-')
        features = str(row.part_features or '-')
        lines.append(
            (row.file, row.method, names, *millions, features)
            + (row.alpha, row.paper_alpha)
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = (cell.rjust(n) for cell, n in zip(cells[1:], widths[1:], strict=True))
        return f'| {" | ".join([first, *rest])} |'

    rule = '|'.join(['-' * (widths[0] + 2), *(f'{"-" * (n + 1)}:' for n in widths[1:])])
    text = [line(heads), f'|{rule}|', *map(line, lines[1:])]
    for size in dict.fromkeys(row.backbone for row in rows if row.method == 'SDF'):
        sdf = [r for r in rows if r.method == 'SDF' and r.backbone == size]
        single = [row.total for row in sdf]
        # Several models of one data set are no set of models to deploy.
        if len(single) > 1 and len({row.datasets for row in sdf}) == len(sdf):
            text += [
                '',
                f'{len(single)} SDF models with a backbone of {size / 1e6:.2f} M '
                f'together: {sum(single) / 1e6:.2f} M',
            ]
    return '\n'.join(text)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('config', nargs='+', help='config files')
    parser.add_argument('--json', type=Path, help='write the rows here too, exactly')
    add_options_argument(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    args = parse_args(argv)
    rows = []
    for file in args.config:
        config = read_with_options(file, args.cfg_options)
        rows.append(count(build_on_meta(config), file))
    print(markdown(rows))
    if args.json:
        args.json.write_text(
            json.dumps([row._asdict() for row in rows], indent=2) + '\n'
        )


if __name__ == '__main__':
    start_command(main)
