"""Charts of quotas, collections, classes and leaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .drawn import CHOSEN, EXTRA, MISSING, POOL, drawn, new_figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WRITTEN = 24
"""Most columns of a matrix whose cells are written as numbers too."""


@drawn
def quotas(wanted: np.ndarray, available: np.ndarray, filled: np.ndarray) -> Figure:
    """Draw how the quotas were filled.

    Args:
        wanted: float, (M,), crops by Eq. 3.
        available: float, (M,), crops that could be taken.
        filled: float, (M,), crops that were taken.
    """
    from matplotlib.patches import Patch

    figure = new_figure(12, 5)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    place = np.arange(len(wanted))
    own, width = np.minimum(filled, wanted), 0.85
    upper.bar(place, own, width, color=CHOSEN)
    upper.bar(
        place,
        np.maximum(filled - wanted, 0),
        width,
        bottom=wanted,
        color=EXTRA,
    )
    short_of = wanted > own
    hatched: dict[str, Any] = dict(
        facecolor='none', edgecolor=MISSING, lw=0.6, hatch='////'
    )
    missing = (wanted - own)[short_of]
    upper.bar(place[short_of], missing, width, bottom=own[short_of], **hatched)
    upper.set(ylabel='crops')
    upper.yaxis.set_major_formatter(lambda value, _: short(value))
    # Bars of which there is none would be in the legend in a default color.
    handles = [
        Patch(color=CHOSEN, label='filled, own quota'),
        Patch(color=EXTRA, label='filled beyond it, from other clusters'),
        Patch(label='wanted and not there', **hatched),
    ]
    figure.legend(handles=handles, loc='outside upper right', ncols=3, frameon=False)
    some = (wanted > 0) & (available > 0)
    lower.axhline(1, color=MISSING, lw=0.8)
    lower.plot(place[some], available[some] / wanted[some], '.', color='#3d434c', ms=5)
    nothing = (wanted > 0) & (available == 0)
    if nothing.any():
        height, below = np.full(nothing.sum(), 0.04), lower.get_xaxis_transform()
        lower.plot(place[nothing], height, 'x', color=MISSING, ms=5, transform=below)
    lower.set(
        xlabel='cluster',
        ylabel='available / wanted\n(x: none available)',
        yscale='log',
        xlim=(-0.7, max(len(wanted), 1) - 0.3),
    )
    _plain_log(lower, 'y', available[some] / wanted[some])
    lower.xaxis.get_major_locator().set_params(integer=True)
    lower.grid(axis='y', alpha=0.3)
    return figure


@drawn
def collections_by_cluster(
    selected: np.ndarray, pool: np.ndarray, names: Sequence[str]
) -> Figure:
    """Draw from which collections the crops of every cluster come.

    Args:
        selected: int64, (C, M), selected crops.
        pool: int64, (C, M), scored crops.
        names: Of the collections.
    """
    height = max(0.24 * len(names), 0.5)
    figure = new_figure(12, 2 * height + 1.6)
    upper, lower = figure.subplots(2, sharex=True)
    matrix(upper, selected, names, 'selected crops', figure)
    with np.errstate(invalid='ignore'):
        share = selected / np.where(pool > 0, pool, np.nan)
    image = lower.imshow(
        share, aspect='auto', vmin=0, vmax=1, cmap='cividis', interpolation='nearest'
    )
    lower.set_facecolor('#ffffff')
    lower.set_yticks(range(len(names)), [cut_off(name) for name in names])
    lower.set(xlabel='cluster', title='share of the scored crops that is selected')
    lower.xaxis.get_major_locator().set_params(integer=True)
    if share.shape[1] <= _WRITTEN:
        texts = [[f'{x:.0%}' if x == x else '' for x in row] for row in share]
        _write_cells(lower, np.array(texts), share > 0.5)
    else:
        figure.colorbar(image, ax=lower, pad=0.01)
    return figure


@drawn
def class_area_chart(
    pool: np.ndarray, selected: np.ndarray, names: Sequence[str]
) -> Figure:
    """Draw how much of the crops every class covers.

    Args:
        pool: float64, (K,), mean share of the pixels of the scored crops.
        selected: float64, (K,), of the selected crops.
        names: Of the classes.
    """
    figure = new_figure(10, 0.9 + 0.3 * len(names))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    place = np.arange(len(names))
    left.barh(place - 0.2, pool * 100, 0.38, color=POOL, label='scored')
    left.barh(place + 0.2, selected * 100, 0.38, color=CHOSEN, label='selected')
    left.set_yticks(place, [cut_off(name) for name in names])
    left.set(xlabel='share of the pixels [%]', ylim=(len(names) - 0.4, -0.6))
    left.legend(frameon=False)
    some = (pool > 0) & (selected > 0)
    ratio = selected[some] / pool[some]
    right.axvline(1, color='#7a8089', lw=0.8)
    right.hlines(place[some], 1, ratio, color=CHOSEN, lw=1.5)
    right.plot(ratio, place[some], 'o', color=CHOSEN, ms=5)
    right.set(xlabel='selected / scored (ratio of the shares)', xscale='log')
    _plain_log(right, 'x', ratio)
    right.grid(axis='x', alpha=0.3)
    return figure


@drawn
def leaks(cells: Sequence[dict[str, Any]]) -> Figure:
    """Draw how many crops match which benchmark, a matrix a layer.

    Args:
        cells: Rows of :meth:`s5_mm.curation.report.leakage_tables.Matches.table`.
    """
    rows = sorted({cell['collection'] for cell in cells})
    columns = sorted({(cell['benchmark'], cell['split']) for cell in cells})
    layers = sorted({cell['layer'] for cell in cells})
    names = [f'{benchmark}/{split}' for benchmark, split in columns]
    height = 0.28 * len(rows) + 0.5
    figure = new_figure(max(0.5 * len(columns) + 3, 6), len(layers) * height + 1.4)
    panels = figure.subplots(len(layers), sharex=True, squeeze=False)[:, 0]
    for axes, layer in zip(panels, layers, strict=True):
        counts = np.zeros((len(rows), len(columns)), np.int64)
        for cell in cells:
            if cell['layer'] == layer:
                where = columns.index((cell['benchmark'], cell['split']))
                counts[rows.index(cell['collection']), where] += cell['crops']
        matrix(axes, counts, rows, f'crops that match, layer {layer}', figure)
    panels[-1].set_xticks(
        range(len(names)), [cut_off(n) for n in names], rotation=45, ha='right'
    )
    return figure


def matrix(
    axes: Axes, counts: np.ndarray, names: Sequence[str], title: str, figure: Figure
) -> None:
    """Draw a matrix of counts; no crop at all is white.

    Args:
        axes: Where.
        counts: int64, (rows, columns).
        names: Of the rows.
        title: Above it.
        figure: Figure of the axes.
    """
    from matplotlib.colors import LogNorm

    top = max(int(counts.max(initial=0)), 2)
    image = axes.imshow(
        np.ma.masked_equal(counts, 0),
        aspect='auto',
        norm=LogNorm(1, top),
        cmap='viridis',
        interpolation='nearest',
    )
    axes.set_yticks(range(len(names)), [cut_off(name) for name in names])
    axes.set(title=title)
    if counts.shape[1] <= _WRITTEN:
        texts = [[short(n) if n else '' for n in row] for row in counts.tolist()]
        _write_cells(axes, np.array(texts), counts > top**0.6)
        return
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.ax.yaxis.set_major_formatter(lambda value, _: short(value))
    bar.ax.minorticks_off()


def cut_off(name: str, length: int = 28) -> str:
    """Shorten a name for a label."""
    return name if len(name) <= length else f'{name[: length - 2]}..'


def _write_cells(axes: Axes, texts: np.ndarray, bright: np.ndarray) -> None:
    """Write into the cells of a matrix, in black where they are bright."""
    for (row, column), text in np.ndenumerate(texts):
        color = 'black' if bright[row, column] else 'white'
        axes.text(column, row, text, ha='center', va='center', fontsize=7, color=color)


def _plain_log(axes: Axes, which: str, values: np.ndarray) -> None:
    """Write the ticks of a logarithmic axis as plain numbers."""
    from matplotlib.ticker import NullLocator

    low, high = min(values.min(initial=1), 0.5), max(values.max(initial=1), 2)
    steps = [m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5)]
    if high / low > 100:
        steps = steps[::3]
    axis = getattr(axes, f'{which}axis')
    axis.set_ticks([step for step in steps if low * 0.8 <= step <= high * 1.25])
    axis.set_major_formatter(lambda value, _: f'{value:g}')
    axis.set_minor_locator(NullLocator())
    axes.set(**{f'{which}lim': (low * 0.8, high * 1.25)})
