"""Look at a folder of images and masks and write the config files of a first run."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from s5_mm.io.progress import ProgressLine

from .config_files import config_names, write_configs
from .first_run import Arch, Run, plan_run
from .folder import Folder, FolderPart, look_at
from .matching import CONVERTED
from .own_labels import Classes, parse_class, read_labels
from .pixels import MaskPixels, convert_masks, image_statistics, read_pixels
from .splitting import draw_split
from .texts import Found


class Request(NamedTuple):
    """What a person wants, see ``tools/new_dataset.py``.

    Attributes:
        data: Folder of the images and masks.
        target: Folder of the config files.
        bases: ``configs/_base_`` of this package.
        name: Of the run; None: that of the folder.
        classes: NAME, NAME=VALUE or NAME=#RRGGBB each.
        ignore: Values of the masks that count nowhere.
        images: Folder of the images below ``data``, if its name tells nothing.
        masks: Folder of the masks.
        unlabelled: Folder of images without masks.
        split: Shares of training, validation and, if wanted, test.
        seed: Of the split.
        arch: Size of the ViT.
        iters: Iterations; None for those that suit ``arch``.
        weights: Checkpoint that the ViT starts from.
        convert_masks: Write masks in colours as masks of ids into ``masks_ids/``.
        overwrite: Replace config files of the same name.
    """

    data: Path
    target: Path
    bases: Path
    name: str | None = None
    classes: Sequence[str] = ()
    ignore: Sequence[int] = ()
    images: str | None = None
    masks: str | None = None
    unlabelled: Path | None = None
    split: Sequence[float] = (80, 20)
    seed: int = 0
    arch: Arch = 't'
    iters: int | None = None
    weights: str | None = None
    convert_masks: bool = False
    overwrite: bool = False


class Prepared(NamedTuple):
    """What was found and written.

    Attributes:
        run: Name and choices of the run.
        files: The files that were written, data set and leaf first.
        classes: What the masks mean.
        splits: Pairs by split.
        example: An image, to try the trained model on.
        unlabelled: Folder of images without masks.
        notes: What a person should know, a line each.
    """

    run: Run
    files: list[Path]
    classes: Classes
    splits: dict[str, FolderPart]
    example: str
    unlabelled: Path | None
    notes: list[str]


def prepare(request: Request) -> Prepared:
    """Write the config files of a first run; no image is touched.

    Args:
        request: What is wanted.

    Returns:
        What was found and written.

    Raises:
        FileExistsError: If a config file of this name is there.
        NotADirectoryError: If ``target`` is a file.
        DamagedCheckpointError: If ``weights`` is no checkpoint.
        FileNotFoundError: If something is missing, see :func:`look_at`.
        ValueError: If masks, classes or an option do not fit together.
        ImageError: If an image or a mask cannot be used.
        OSError: If a file cannot be written.
    """
    name = _name(request)
    given = [parse_class(text) for text in request.classes]
    there = [n for n in config_names(name) if (request.target / n).exists()]
    if there and not request.overwrite:
        raise FileExistsError(
            f'{request.target / there[0]} exists; --overwrite replaces it, --name '
            'takes another name'
        )
    if request.target.exists() and not request.target.is_dir():
        raise NotADirectoryError(
            f'--out: {request.target} is a file; expected a folder for the configs'
        )
    folder = look_at(request.data, request.images, request.masks)
    unlabelled = request.unlabelled or folder.unlabelled
    if unlabelled is not None and not unlabelled.is_dir():
        raise FileNotFoundError(f'--unlabelled: there is no folder {unlabelled}')
    pixels = {
        split: read_pixels(folder.files(part), ProgressLine(f'look: {split}', 'pairs'))
        for split, part in folder.parts.items()
    }
    first = next(iter(folder.parts.values()))
    every = [pair for pairs in pixels.values() for pair in pairs]
    where = str(folder.root / first.masks)
    classes = read_labels(where, every, given, request.ignore)
    if classes.colours and not request.convert_masks:
        raise ValueError(
            f'{where}: masks are in colours, expected class ids; --convert-masks '
            f'writes them as ids into {folder.root / CONVERTED}/ and leaves yours alone'
        )
    splits, drawn, sizes = _split(folder.parts, pixels, classes, request)
    train = folder.files(splits['train'])
    run = plan_run(
        name,
        request.arch,
        sizes,
        unlabelled is not None,
        request.iters,
        request.weights,
    )
    progress = ProgressLine('mean and standard deviation', 'images')
    statistics = image_statistics([image for image, _ in train], progress)
    if classes.colours:
        folder, splits = _converted(folder, splits, classes)
    found = Found(folder, classes, splits, drawn, statistics, unlabelled)
    files = write_configs(request.target, request.bases, run, found)
    example = folder.files(splits['val'])[0][0]
    notes = _notes(every, classes, bool(given))
    return Prepared(run, files, classes, splits, example, unlabelled, notes)


def _name(request: Request) -> str:
    """Name the run, in characters that every shell takes."""
    if request.name is not None:
        if not re.fullmatch(r'[\w-]+', request.name, re.ASCII):
            raise ValueError(
                f'--name {request.name!r}; expected letters, digits, _ and - alone'
            )
        return request.name
    own = os.path.basename(os.path.abspath(request.data))
    return re.sub(r'[^\w-]+', '_', own, flags=re.ASCII).strip('_') or 'mine'


def _split(
    parts: dict[str, FolderPart],
    pixels: dict[str, list[MaskPixels]],
    classes: Classes,
    request: Request,
) -> tuple[dict[str, FolderPart], list[str], list[tuple[int, int]]]:
    """Draw the splits that the folders do not have.

    Returns:
        Pairs by split, the splits that were drawn, sizes of the training images.
    """
    if 'val' in parts:
        return parts, [], [pair.size for pair in pixels['train']]
    source = 'all' if 'all' in parts else 'train'
    part, held = parts[source], pixels[source]
    shares = request.split[:2] if 'test' in parts else request.split
    ids = [classes.ids(pair.counts) for pair in held]
    names = draw_split(part.names, ids, shares, request.seed)
    splits = {split: part._replace(names=chosen) for split, chosen in names.items()}
    drawn = list(splits)
    if 'test' in parts:
        splits['test'] = parts['test']
    chosen = set(splits['train'].names)
    sizes = [
        pair.size for name, pair in zip(part.names, held, strict=True) if name in chosen
    ]
    return splits, drawn, sizes


def _converted(
    folder: Folder, splits: dict[str, FolderPart], classes: Classes
) -> tuple[Folder, dict[str, FolderPart]]:
    """Write masks in colours as masks of ids, below the same names."""
    colours = [value for value in classes.values or () if isinstance(value, tuple)]
    changed = {}
    for split, part in splits.items():
        masks = [mask for _, mask in folder.files(part)]
        target = os.path.join(CONVERTED, part.masks)
        progress = ProgressLine(f'convert masks of {split}', 'masks')
        convert_masks(
            masks,
            str(folder.root / part.masks),
            folder.root / target,
            colours,
            progress=progress,
        )
        changed[split] = part._replace(masks=target)
    ending = folder.mask_suffix[: folder.mask_suffix.rindex('.')] + '.png'
    return folder._replace(mask_suffix=ending), changed


def _notes(pixels: Sequence[MaskPixels], classes: Classes, named: bool) -> list[str]:
    """Say what a person might not expect."""
    notes = []
    for note, text in (
        ('alpha', 'have an alpha channel, which is left out'),
        ('grey', 'are grey, their channel is taken three times'),
    ):
        count = sum(note in pair.notes for pair in pixels)
        if count:
            notes.append(f'{count} of {len(pixels)} images {text}')
    if classes.label_map:
        shown = ', '.join(
            f'{value} is {"ignored" if label == 255 else classes.names[label]}'
            for value, label in classes.label_map.items()
        )
        notes.append(f'values of the masks: {shown}')
    if not named:
        notes.append('classes have no names: --classes NAME NAME ... gives them')
    return notes
