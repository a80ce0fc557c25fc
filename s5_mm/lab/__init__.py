"""Grids of runs, and what one method gains over another over paired seeds."""

from .gain_tables import gain_table, layout, notes, run_table
from .gains import Comparison, Gain, compare
from .grid import Grid, read_grid
from .lab_run import LabRun
from .paired_difference import PairedDifference, paired_difference, t_quantile
from .pool import Job, run_jobs
from .results_file import RESULTS, Results, read_results
from .run_figures import RunFigures, identity, read_run

__all__ = [
    'RESULTS',
    'Comparison',
    'Gain',
    'Grid',
    'Job',
    'LabRun',
    'PairedDifference',
    'Results',
    'RunFigures',
    'compare',
    'gain_table',
    'identity',
    'layout',
    'notes',
    'paired_difference',
    'read_grid',
    'read_results',
    'read_run',
    'run_jobs',
    'run_table',
    't_quantile',
]
