"""Curves of one or several runs from the scalars that mmengine writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .palette import hex_palette

Series = dict[str, dict[int, float]]
"""Values of a run: {key: {step: value}}."""


class Band(NamedTuple):
    """A curve of several runs (seeds).

    Attributes:
        steps: Steps that every run has, int (N,).
        mean: Mean over the runs, float (N,).
        low: Smallest value of the runs, float (N,).
        high: Largest value of the runs, float (N,).
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def read_scalars(path: str | Path) -> Series:
    """Read the scalars of a run.

    Args:
        path: A ``scalars.json`` (one JSON object a line), or a folder: a work
            directory, with the logs of all the times it was started and resumed.

    Returns:
        The values by key and step; where a run was resumed, later logs win.

    Raises:
        FileNotFoundError: If there is no such file, or none in the folder.
        ValueError: If a line other than the last is not a JSON object.
    """
    path = Path(path)
    # Names of mmengine's log folders are times, so they sort by age.
    files = [path] if path.is_file() else sorted(path.rglob('vis_data/scalars.json'))
    if not files and (path / 'scalars.json').is_file():
        files = [path / 'scalars.json']
    if not files:
        raise FileNotFoundError(
            f'{path}: no scalars.json there; expected is the work directory of a run '
            'or the file vis_data/scalars.json in it'
        )
    series: Series = {}
    for file in files:
        for record in _records(file):
            step = record.get('step', record.get('iter'))
            if step is None:
                continue
            for key, value in record.items():
                if key not in ('step', 'iter') and isinstance(value, (int, float)):
                    series.setdefault(key, {})[int(step)] = float(value)
    return series


def _records(file: Path) -> list[dict]:
    """Parse a file of JSON lines; a last line that a kill cut short is dropped."""
    lines = [line for line in file.read_text(encoding='utf-8').split('\n') if line]
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise TypeError(f'a {type(record).__name__}')
        except (TypeError, ValueError) as error:
            if number == len(lines):
                break
            raise ValueError(
                f'{file}, line {number}: {error}; expected is a JSON object'
            ) from error
        records.append(record)
    return records


def band(runs: Sequence[Series], key: str) -> Band:
    """Summarise one key over several runs.

    Args:
        runs: Values of each run.
        key: Which values.

    Returns:
        Mean and spread at the steps that all runs with this key share; empty if no
        run has it.
    """
    curves = [run[key] for run in runs if key in run]
    shared = (
        sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    )
    table = np.array([[curve[step] for step in shared] for curve in curves])
    table = table.reshape(len(curves), len(shared))
    if not shared:
        return Band(np.zeros(0, dtype=int), *(np.zeros(0) for _ in range(3)))
    return Band(np.array(shared), table.mean(0), table.min(0), table.max(0))


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Running mean over a window that shrinks at both ends.

    Args:
        values: float (N,).
        window: Number of neighbours that are averaged; 1 or less changes nothing.

    Returns:
        float (N,).
    """
    if window <= 1 or len(values) == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    half = window // 2
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def plot_runs(
    runs: Mapping[str, Sequence[str | Path]],
    keys: Sequence[str],
    out: str | Path,
    title: str = '',
    window: int = 1,
) -> Path:
    """Draw curves of named runs, one picture a key, mean with spread over seeds.

    Args:
        runs: Paths of the runs (seeds) of each name, see :func:`read_scalars`.
        keys: What to draw, e.g. ``loss``, ``mask_ratio``, ``mIoU``.
        out: PNG to write; its folder is made.
        title: Heading.
        window: Running mean over so many logged values; 1 draws them as they are, and
            so are curves of a dozen points or less.

    Returns:
        The PNG.

    Raises:
        ValueError: If no run has one of the keys.
        FileNotFoundError: If a run has no scalars.
    """
    # Imported here: most users of this package draw no curves.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = {
        name: [read_scalars(path) for path in paths] for name, paths in runs.items()
    }
    known = sorted({key for group in series.values() for run in group for key in run})
    if missing := [key for key in keys if key not in known]:
        raise ValueError(f'keys {missing} are in no run; the runs have {known}')
    colors = hex_palette(len(series))  # the same in every picture
    figure = Figure(figsize=(4.6 * len(keys), 3.6), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, key in zip(
        figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True
    ):
        for number, (name, group) in enumerate(series.items()):
            curve = band(group, key)
            if not len(curve.steps):
                continue
            label = name if len(group) == 1 else f'{name} ({len(group)} runs)'
            # Few points, such as validation results, are marked and not smoothed.
            few = len(curve.steps) <= 12
            width = 1 if few else window
            (line,) = axes.plot(
                curve.steps,
                smooth(curve.mean, width),
                color=colors[number],
                marker='o' if few else '',
                ms=4,
                label=label,
            )
            if len(group) > 1:
                axes.fill_between(
                    curve.steps,
                    smooth(curve.low, width),
                    smooth(curve.high, width),
                    color=line.get_color(),
                    alpha=0.2,
                    lw=0,
                )
        axes.set(title=key, xlabel='iteration')
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    if title:
        figure.suptitle(title)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    return out
