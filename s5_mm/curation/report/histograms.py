"""Histograms of the entropy with the cut of every cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .drawn import CHOSEN, CUT, POOL, drawn, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARE_SHOWN = 0.99
_BARS, _SMALL_BARS = 100, 40


def coarsen(histogram: np.ndarray, top: int, bars: int) -> np.ndarray:
    """Add up fine bins; what lies beyond the last bar is left out.

    Args:
        histogram: int64, (..., bins).
        top: Number of bins that the bars cover, a multiple of ``bars``.
        bars: Number of bars.

    Returns:
        int64, (..., bars).
    """
    missing = max(top - histogram.shape[-1], 0)
    pads = [(0, 0)] * (histogram.ndim - 1) + [(0, missing)]
    cut = np.pad(histogram, pads)[..., :top]
    return cut.reshape(*histogram.shape[:-1], bars, top // bars).sum(axis=-1)


def shown_bins(pool: np.ndarray, edges: np.ndarray, cuts: np.ndarray) -> int:
    """Choose how many fine bins a figure shows: 99 % of the pool and every cut.

    Args:
        pool: int64, (bins,).
        edges: float64, (bins + 1,).
        cuts: float, (M,), NaN where there is none.

    Returns:
        Their number, a multiple of 200.
    """
    total = np.cumsum(pool)
    bins = int(np.searchsorted(total, _SHARE_SHOWN * total[-1])) + 1
    if np.isfinite(cuts).any():
        bins = max(bins, int(np.searchsorted(edges, 1.05 * np.nanmax(cuts))))
    unit = np.lcm(_BARS, _SMALL_BARS)
    return int(-(-bins // unit) * unit)


@drawn
def all_clusters(
    pool: np.ndarray, selected: np.ndarray, edges: np.ndarray, cuts: np.ndarray
) -> Figure:
    """Draw the entropies of all crops.

    Args:
        pool: int64, (M, bins), the scored crops by cluster.
        selected: int64, (M, bins), of those the selected ones.
        edges: float64, (bins + 1,), in nats.
        cuts: float, (M,), largest entropy that was taken, NaN where nothing was.
    """
    figure = new_figure(9, 3.4)
    axes = figure.subplots()
    top = shown_bins(pool.sum(axis=0), edges, cuts)
    bars = np.linspace(0, edges[1] * top, _BARS + 1)
    for histogram, color, label in (
        (pool, POOL, 'scored'),
        (selected, CHOSEN, 'selected'),
    ):
        total = histogram.sum(axis=0)
        label = f'{label} ({short(total.sum())})'
        axes.stairs(
            coarsen(total, top, _BARS), bars, fill=True, color=color, label=label
        )
    finite = cuts[np.isfinite(cuts)]
    if len(finite):
        low, middle, high = np.min(finite), np.median(finite), np.max(finite)
        axes.axvspan(low, high, color=CUT, alpha=0.12, lw=0)
        label = f'cuts: {low:.3g} to {high:.3g}, median {middle:.3g} nats'
        axes.axvline(middle, color=CUT, lw=1.2, label=label)
    beyond = pool[:, top:].sum() / max(pool.sum(), 1)
    axes.set(
        xlabel=f'entropy [nats], {beyond:.1%} of the scored crops lie beyond the right '
        'end',
        ylabel='crops',
        xlim=(0, bars[-1]),
    )
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    axes.legend(frameon=False)
    return figure


@drawn
def by_cluster(
    pool: np.ndarray, selected: np.ndarray, edges: np.ndarray, cuts: np.ndarray
) -> Figure:
    """Draw the entropies of every cluster; see :func:`all_clusters`.

    All panels lie in one pair of axes: 256 pairs take matplotlib half a minute.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    clusters = len(pool)
    columns = 4 if clusters <= 16 else 8 if clusters <= 96 else 12
    lines = -(-clusters // columns)
    figure = new_figure(12, 0.45 + lines * (1.3 if columns == 4 else 0.85))
    axes = figure.subplots()
    top = shown_bins(pool.sum(axis=0), edges, cuts)
    high = edges[1] * top
    steps = np.repeat(np.arange(_SMALL_BARS + 1), 2) / _SMALL_BARS
    bars = coarsen(pool, top, _SMALL_BARS), coarsen(selected, top, _SMALL_BARS)
    height = 0.62 / np.maximum(bars[0].max(axis=1), 1)
    origin = np.stack(
        [np.arange(clusters) % columns * 1.08, -(np.arange(clusters) // columns)], 1
    )
    for counts, color in zip(bars, (POOL, CHOSEN), strict=True):
        tops = np.repeat(counts * height[:, None], 2, axis=1)
        tops = np.pad(tops, ((0, 0), (1, 1)))
        outline = np.stack([np.broadcast_to(steps, tops.shape), tops], axis=-1)
        panels = outline + origin[:, None]
        axes.add_collection(
            PolyCollection(list(panels), facecolor=color, edgecolor='none')
        )
    base = [[point, point + (1, 0)] for point in origin]
    axes.add_collection(LineCollection(base, colors='#7a8089', linewidths=0.6))
    where = np.flatnonzero(np.isfinite(cuts))
    marks = origin[where] + np.stack([cuts[where] / high, np.zeros(len(where))], 1)
    lines_up = [[point, point + (0, 0.66)] for point in marks]
    axes.add_collection(LineCollection(lines_up, colors=CUT, linewidths=1.1))
    sizes, taken = pool.sum(axis=1), selected.sum(axis=1)
    for cluster, (x, y) in enumerate(origin):
        text = f'{cluster}: {short(taken[cluster])} of {short(sizes[cluster])}'
        axes.text(x, y + 0.7, text, fontsize=8 if columns == 4 else 7, va='bottom')
        if not sizes[cluster]:
            axes.text(x + 0.5, y + 0.25, 'empty', color='#7a8089', ha='center')
    bottom = origin[-1][1]
    for column in range(min(columns, clusters)):
        x = column * 1.08
        axes.text(x, bottom - 0.08, '0', va='top', fontsize=7)
        end = f'{high:.2g} nats'
        axes.text(x + 1, bottom - 0.08, end, va='top', ha='right', fontsize=7)
    axes.set(xlim=(-0.05, columns * 1.08), ylim=(bottom - 0.35, 1.05))
    axes.axis('off')
    return figure
