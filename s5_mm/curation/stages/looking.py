"""Stages that look at images without a model: ``plan`` and ``scan``."""

from __future__ import annotations

from ..gate.part_scanner import PartScanner
from ..gate.quality_gate import QualityGate
from ..planning.crop_plan import plan
from ..planning.source_files import SourceFiles
from ..run import CurationRun


def run_plan(run: CurationRun) -> None:
    """Lay crops over the images of all collections."""
    settings = run.settings
    record = run.work.begin(
        'plan',
        {
            'collections': {c.name: c.drawn() for c in settings.collections},
            'crop': settings['crop'],
            'plan': settings['plan'],
        },
    )
    if record.finished:
        return
    with record.work(workers=run.jobs, unit='crops') as results:
        plan(
            settings.collections,
            settings.grid,
            run.folder('plan'),
            **settings['plan'],
            jobs=run.jobs,
            progress=run.progress('plan', 'images'),
        )
        results['items'] = run.num_crops()


def run_scan(run: CurationRun) -> None:
    """Hash the crops and ask the quality gate."""
    run.work.require('plan')
    settings = run.settings
    record = run.work.begin('scan', {'gate': settings['gate']})
    if record.finished:
        return
    plan_folder = run.folder('plan')
    scanner = PartScanner(
        plan=plan_folder,
        out=run.folder('scan'),
        sources=SourceFiles(plan_folder, settings.collections),
        size=settings.grid.size,
        small=settings.grid.filling,
        high_byte=settings['plan']['high_byte'],
        gate=QualityGate.from_config(settings['gate']),
    )
    with record.work(workers=run.jobs, unit='crops') as results:
        run.map_parts('scan', scanner)
        results['items'] = run.num_crops()
