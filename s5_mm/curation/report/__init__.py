"""The report of a curation run: what was taken, what was not, and why."""

from .run_record import RunRecord
from .write import write_report

__all__ = ['RunRecord', 'write_report']
