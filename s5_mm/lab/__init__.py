"""Grids of runs, and what one method gains over another over paired seeds."""

from .gain_tables import gain_table, layout, notes, run_table
from .gains import Comparison, Gain, compare
from .paired_difference import PairedDifference, paired_difference, t_quantile
from .results_file import Results, read_results
from .run_figures import RunFigures, identity, read_run

__all__ = [
    'Comparison',
    'Gain',
    'PairedDifference',
    'Results',
    'RunFigures',
    'compare',
    'gain_table',
    'identity',
    'layout',
    'notes',
    'paired_difference',
    'read_results',
    'read_run',
    'run_table',
    't_quantile',
]
