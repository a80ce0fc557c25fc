"""Write any recognised checkpoint under this package's names.

    python tools/model_converters/convert_checkpoint.py SRC DST [--from FORMAT]
    python tools/model_converters/convert_checkpoint.py --list

The format of SRC (.pth, .safetensors) is recognised by the names in it; ``--list``
prints all of them.  DST ends in .pth or .safetensors.  Converting is not needed before
training or testing: ``load_from`` and ``init_cfg`` take every format as it is.  What
the converter adds is a file that other tools read, another patch size or number of
bands, and the settings with which the model gives the outputs of the original.

Nothing in SRC is executed; a file that would need it is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s5_mm import __version__
from s5_mm.checkpoints import (
    FORMATS,
    CheckpointError,
    Converted,
    Format,
    describe_lacking,
    find_format,
    format_named,
    load_address,
    repeat_bands,
    resample_patches,
    summarise_keys,
    unwrap,
    write_safetensors,
)
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.io.atomic import atomic_open

_PATCHES = 'backbone.patch_embed.projection.weight'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('src', nargs='?', help='checkpoint')
    parser.add_argument('dst', nargs='?', type=Path, help='.pth or .safetensors')
    parser.add_argument(
        '--from',
        dest='form',
        default='auto',
        metavar='FORMAT',
        help='one of --list; auto recognises it',
    )
    parser.add_argument('--prefix', default='', help='take names that start with this')
    parser.add_argument('--patch-size', type=int, help='resample the patch embedding')
    parser.add_argument('--bands', type=int, help='bands of the images, if not 3')
    parser.add_argument(
        '--rename', nargs='+', default=[], metavar='OLD=NEW', help='data sets to rename'
    )
    parser.add_argument('--list', action='store_true', help='print the formats')
    args = parser.parse_args(argv)
    if not args.list and args.dst is None:
        parser.error('SRC and DST are needed')
    if args.dst is not None and args.dst.suffix not in ('.pth', '.safetensors'):
        parser.error(f'{args.dst}: expected a name that ends in .pth or .safetensors')
    return args


def renamer(pairs: list[str]) -> Callable[[str], str]:
    """Make what renames data sets.

    Args:
        pairs: ``OLD=NEW``.

    Returns:
        A function of a name; parts between dots that are an OLD are replaced.

    Raises:
        ValueError: A pair has another form.
    """
    table = {}
    for pair in pairs:
        old, equals, new = pair.partition('=')
        if not (old and equals and new) or '.' in new:
            raise ValueError(f'--rename {pair}: expected OLD=NEW, without dots')
        table[old] = new
    return lambda name: '.'.join(table.get(part, part) for part in name.split('.'))


def fit_patches(state: dict[str, Tensor], size: int | None, bands: int | None) -> None:
    """Bring the patch embedding to another size of patches or number of bands.

    Args:
        state: Tensors by their new names; changed in place.
        size: Side of a patch in pixels, or None.
        bands: Bands of the images, or None.

    Raises:
        ValueError: There is no patch embedding.
    """
    if size is None and bands is None:
        return
    if _PATCHES not in state:
        raise ValueError(f'--patch-size and --bands need {_PATCHES}; it is not there')
    weight = state[_PATCHES]
    found = tuple(weight.shape)
    weight = resample_patches(weight, size or weight.shape[-1])
    state[_PATCHES] = repeat_bands(weight, bands or weight.shape[1])
    print(
        f'warning: {_PATCHES} resampled from {found} to {tuple(state[_PATCHES].shape)};'
        ' the model is no longer the one that was trained'
    )


def check_parts(form: Format, converted: Converted, source_name: str) -> None:
    """Refuse a network that no model of this package is.

    Args:
        form: The format of the file.
        converted: The file under this package's names.
        source_name: File, for the message.

    Raises:
        CheckpointError: It has parameters that would be left out.
    """
    lacking = form.lacking(converted.state)
    if lacking:
        parts = describe_lacking(lacking, converted.state, converted.source)
        raise CheckpointError(
            f'{source_name}: {parts}; no model of this package computes them, so '
            'nothing was written; docs/checkpoints.md lists what loads'
        )


def renamed_meta(meta: dict[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """Rename the data sets in ``dataset_meta``."""
    datasets = meta.get('dataset_meta', {}).get('datasets')
    if not datasets:
        return meta
    named = {rename(name): own for name, own in datasets.items()}
    return {**meta, 'dataset_meta': {**meta['dataset_meta'], 'datasets': named}}


def main(argv: list[str] | None = None) -> None:
    """Convert one file."""
    args = parse_args(argv)
    if args.list:
        width = max(len(form.name) for form in FORMATS)
        for form in FORMATS:
            print(f'{form.name:{width}}  {form.title}')
        return
    found = unwrap(load_address(args.src), args.src, args.prefix)
    chosen = {
        name.removeprefix(args.prefix): tensor
        for name, tensor in found.items()
        if name.startswith(args.prefix)
    }
    try:
        form = find_format(chosen) if args.form == 'auto' else format_named(args.form)
        converted = form.convert(chosen)
    except (CheckpointError, ValueError) as error:
        raise ValueError(f'{args.src}: {error}') from None
    if not converted.state:
        raise ValueError(
            f'{args.src}: nothing in it is of the format {form.name!r} ({form.title}); '
            f'found {summarise_keys(list(found)[:8])}'
        )
    check_parts(form, converted, args.src)
    rename = renamer(args.rename)
    state = {rename(name): tensor for name, tensor in converted.state.items()}
    fit_patches(state, args.patch_size, args.bands)
    meta = renamed_meta(converted.meta, rename)
    meta |= dict(
        converted_from=Path(args.src).name,
        format=form.name,
        s5_mm_version=__version__,
    )
    if args.dst.suffix == '.safetensors':
        write_safetensors(args.dst, state, meta)
    else:
        content = dict(state_dict=state, meta=meta)
        with atomic_open(args.dst) as file:
            torch.save(content, file)
    size = sum(tensor.numel() for tensor in state.values()) / 1e6
    print(f'{args.dst}: {len(state)} tensors, {size:.2f} M values, from {form.title}')
    for note in converted.notes:
        print(note)
    if converted.unused:
        print(f'left out: {summarise_keys(converted.unused)}')
    if form.settings:
        print("for the original's outputs: --cfg-options " + ' '.join(form.settings))


if __name__ == '__main__':
    start_command(main)
