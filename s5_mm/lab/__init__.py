"""Grids of runs, and what one method gains over another over paired seeds."""

from .gain_tables import gain_table, layout, notes, run_table
from .gains import Comparison, Gain, check_alike, compare
from .grid import Grid, read_grid
from .inputs import list_files, missing_input
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
    'check_alike',
    'compare',
    'gain_table',
    'identity',
    'layout',
    'list_files',
    'missing_input',
    'notes',
    'paired_difference',
    'read_grid',
    'read_results',
    'read_run',
    'run_jobs',
    'run_table',
    't_quantile',
]
