"""The stages of a curation run, each of them resumable."""

from __future__ import annotations

from ..stage import Stage
from .check import CheckStage
from .cluster import ClusterStage
from .materialize import MaterializeStage
from .plan import PlanStage
from .report import ReportStage
from .scan import ScanStage
from .score import ScoreStage
from .select import SelectStage
from .verify import VerifyStage

STAGE_TYPES: dict[str, type[Stage]] = {
    stage.name: stage
    for stage in (
        PlanStage,
        ScanStage,
        ClusterStage,
        ScoreStage,
        SelectStage,
        CheckStage,
        MaterializeStage,
        ReportStage,
        VerifyStage,
    )
}
"""The stages by name, in order."""

__all__ = ['STAGE_TYPES']
