"""The report of a curation run: what was taken, what was not, and why."""

from .run_record import ReportError
from .write import write_report

__all__ = ['ReportError', 'write_report']
