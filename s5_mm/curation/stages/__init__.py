"""The stages of a curation run, each of them resumable."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..run import CurationRun
from .checking import run_check
from .choosing import run_select
from .looking import run_plan, run_scan
from .reporting import run_report
from .scoring import run_cluster, run_score
from .sharding import run_materialize, run_verify

_WORK: dict[str, Callable[[CurationRun], None]] = {
    'plan': run_plan,
    'scan': run_scan,
    'cluster': run_cluster,
    'score': run_score,
    'select': run_select,
    'check': run_check,
    'materialize': run_materialize,
    'report': run_report,
    'verify': run_verify,
}


def _run(stage: str, run: CurationRun) -> None:
    """Do the work of a stage and show that it goes on."""
    with run.alive(stage):
        _WORK[stage](run)


RUN_STAGE: dict[str, Callable[[CurationRun], None]] = {
    stage: partial(_run, stage) for stage in _WORK
}
"""What does the work of a stage, or what is left of it, by name."""

__all__ = ['RUN_STAGE']
