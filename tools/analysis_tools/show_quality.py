"""Show what the quality gate refuses of a folder of images, and what it nearly refuses.

    python tools/analysis_tools/show_quality.py FOLDER --out PNG [--size 512]
        [--gate flat=0.9 detail=None] [--max-images N] [--count 8]

Every image is cut into crops as a curation run does.  Printed are quantiles of the
figures and the number of crops refused by each reason.  The picture has two rows of
crops for each reason, drawn without replacement, and last the crops that pass with
the least distance to a threshold.  Look at it before a run, and before and after
a threshold is changed.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.gate.quality import QUALITY_COLUMNS, Quality, measure_quality
from s5_mm.curation.gate.quality_gate import QualityGate
from s5_mm.curation.planning.collections import Collection
from s5_mm.curation.planning.crop_grid import CropGrid
from s5_mm.curation.planning.crops import read_crops
from s5_mm.io.images.header import ImageError
from s5_mm.io.images.rows import read_image_header
from s5_mm.visualization import grid

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_NOTHING = Quality(*[np.nan] * len(QUALITY_COLUMNS))


class Scores:
    """Figures of the crops of a folder.

    Args:
        folder: The folder, sub-folders included.
        size: Side of a crop in pixels.
        max_images: Most images, evenly spread over the sorted names; None: all.

    Attributes:
        windows: File and window (x, y, width, height) of each crop, one row of zeros
            for a file that cannot be read.
        figures: float32 columns by name.
        unreadable: bool, (n,).
    """

    def __init__(self, folder: Path, size: int, max_images: int | None = None) -> None:
        self.size = size
        names = sorted(Collection('shown', str(folder)).names())
        if max_images is not None and max_images < len(names):
            where = np.linspace(0, len(names) - 1, max_images).round().astype(int)
            names = [names[i] for i in where]
        self.windows: list[tuple[Path, tuple[int, ...]]] = []
        rows = []
        for name in names:
            for window, figures in _score(folder / name, size):
                self.windows.append((folder / name, window))
                rows.append(figures)
        table = np.array(rows, np.float32)
        self.figures = dict(zip(QUALITY_COLUMNS, table.T, strict=True))
        self.unreadable = np.isnan(table[:, 0])

    def picture(self, row: int) -> np.ndarray:
        """Read a crop again.

        Args:
            row: Its number.

        Returns:
            uint8, (h, w, 3), RGB, without padding; a grey tile if it is unreadable.
        """
        path, (x, y, width, height) = self.windows[row]
        if not width:
            return np.full((self.size, self.size, 3), 200, np.uint8)
        window = np.array([[x, y, width, height]])
        crop = next(read_crops(str(path), window, self.size, high_byte=True))
        return crop[:height, :width]


def contact_sheet(
    scores: Scores, gate: QualityGate, count: int = 8, tile_size: int = 160
) -> np.ndarray:
    """Draw refused crops by reason and the lowest that pass.

    Args:
        scores: The figures.
        gate: What judges them.
        count: Crops a row.
        tile_size: Side of a picture in pixels.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    reasons = gate.reasons(scores.figures, scores.unreadable)
    rng = np.random.default_rng(0)
    rows, captions = [], []
    for reason, total in sorted(Counter(reasons[reasons != ''].tolist()).items()):
        found = rng.permutation(np.flatnonzero(reasons == reason))[: 2 * count]
        for start in range(0, len(found), count):
            rows.append([scores.picture(row) for row in found[start : start + count]])
            captions.append(f'{reason}: {total} of {len(reasons)} crops')
    passing = np.flatnonzero(reasons == '')
    for name in ('detail', 'flat', 'no_data', 'cloud'):
        values = scores.figures[name][passing]
        order = np.argsort(values if name == 'detail' else -values, kind='stable')
        chosen = passing[order[:count]]
        if len(chosen):
            rows.append([scores.picture(row) for row in chosen])
            shown = ' '.join(f'{scores.figures[name][row]:.3f}' for row in chosen)
            captions.append(f'passes, worst {name}: {shown}')
    return grid(rows, captions=captions, tile_size=tile_size)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line entry.

    Args:
        argv: Arguments; those of the process by default.
    """
    args = parse_args(argv)
    gate = QualityGate.from_config(dict(map(_threshold, args.gate)))
    scores = Scores(args.folder, args.size, args.max_images)
    readable = ~scores.unreadable
    print(f'{"":12}' + ''.join(f'{f"{100 * q:g} %":>10}' for q in QUANTILES))
    for name, values in scores.figures.items():
        if readable.any():
            found = np.quantile(values[readable], QUANTILES)
            print(f'{name:12}' + ''.join(f'{value:10.4f}' for value in found))
    reasons = gate.reasons(scores.figures, scores.unreadable)
    print(f'\n{len(reasons)} crops, {(reasons == "").sum()} pass')
    for reason, total in sorted(Counter(reasons[reasons != ''].tolist()).items()):
        print(f'{reason:12}{total:8} {total / len(reasons):8.2%}')
    sheet = contact_sheet(scores, gate, args.count)
    if not cv2.imwrite(str(args.out), sheet[..., ::-1]):
        raise ValueError(f'{args.out}: cannot be written')


def _score(path: Path, size: int) -> Iterator[tuple[tuple[int, ...], Quality]]:
    """Yield windows and figures of an image; one row of NaN if it is damaged."""
    try:
        header = read_image_header(str(path), high_byte=True)
        windows = CropGrid(size, size).windows(header.width, header.height)
        crops = read_crops(str(path), windows, size, high_byte=True)
        rows = [
            (tuple(window), measure_quality(crop, *window[2:]))
            for window, crop in zip(windows.tolist(), crops, strict=True)
        ]
    except ImageError:
        rows = [((0, 0, 0, 0), _NOTHING)]
    yield from rows


def _threshold(text: str) -> tuple[str, object]:
    """Read ``name=number`` or ``name=None``."""
    name, _, value = text.partition('=')
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f'--gate {text}: expected name=number or name=None') from error


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('folder', type=Path, help='folder of images')
    parser.add_argument('--out', type=Path, required=True, help='picture to write')
    parser.add_argument('--size', type=int, default=512, help='side of a crop [px]')
    parser.add_argument('--max-images', type=int, help='most images, evenly spread')
    parser.add_argument('--count', type=int, default=8, help='crops a row')
    parser.add_argument(
        '--gate', nargs='*', default=[], metavar='NAME=VALUE', help='thresholds'
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    start_command(main)
