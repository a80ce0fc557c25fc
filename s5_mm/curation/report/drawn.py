"""Figures that do not depend on the settings of whoever draws them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from s5_mm.visualization.palette import hex_palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = hex_palette(8)
POOL = '#bdbdbd'
CHOSEN, EXTRA, CUT, MISSING = _COLORS[0], _COLORS[1], _COLORS[4], _COLORS[7]

_SETTINGS = {
    'font.size': 9,
    'axes.titlesize': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'figure.constrained_layout.use': True,
    # A $ in a name is no formula.
    'text.parse_math': False,
}
_DPI = 120

P = ParamSpec('P')


def drawn(build: Callable[P, Figure]) -> Callable[P, bytes]:
    """Turn a function that builds a figure into one that gives its PNG.

    Args:
        build: Returns the figure.

    Returns:
        Function of the same arguments; the same ones give the same bytes.
    """

    @wraps(build)
    def draw(*args: P.args, **kwargs: P.kwargs) -> bytes:
        # Imported here: most users of this package draw nothing.
        from matplotlib import style

        with style.context(['default', _SETTINGS]):
            file = io.BytesIO()
            # The version of matplotlib would be the only thing that tells runs apart.
            build(*args, **kwargs).savefig(
                file, format='png', dpi=_DPI, metadata={'Software': None}
            )
        return file.getvalue()

    return draw


def new_figure(width: float, height: float) -> Figure:
    """Make a figure without a window.

    Args:
        width: In inches.
        height: In inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def short(count: float) -> str:
    """Write a count in few characters: 950, 12.3k, 4.5M."""
    for unit, size in (('G', 1e9), ('M', 1e6), ('k', 1e3)):
        if count >= size * 0.9995:
            return f'{count / size:.3g}{unit}'
    return f'{count:.3g}'
