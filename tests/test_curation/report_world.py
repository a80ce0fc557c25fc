"""A real run of the stages up to the report, on images made for what a page shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from s5_mm.curation.report.run_record import RunRecord
from s5_mm.curation.run import CurationRun
from s5_mm.curation.settings import load_settings
from s5_mm.curation.stages.report import ReportStage
from s5_mm.curation.work_dir import WorkDir
from s5_mm.io.crop_tables.run_names import STAGES
from s5_mm.testing import draw_scene

from .pipeline import curate, make

SIDE, CROP, NUM_CLUSTERS, NUM_SELECTED = 96, 48, 3, 30
TITLE = 'A <b>title</b>'
NASTY = [
    '"><script>alert(1)<.png',
    "it's $x_1$ & 100 %.png",
    'two\nlines\t\x1b[31m.png',
    'right\u202eto left.png',
    'Übersicht 北.png',
]


def scene(number: int) -> np.ndarray:
    """Draw an image, BGR."""
    return draw_scene(3, number, SIDE, (0.3, 0.6)).image[..., ::-1]


def write(path: Path, pixels: np.ndarray) -> None:
    """Write an image as the file name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(path.suffix, np.ascontiguousarray(pixels))[1]
    path.write_bytes(encoded.tobytes())


def make_world(root: Path) -> Path:
    """Write images with names to fear, copies of them, benchmarks, and the config.

    ``land`` has a flat and a broken image from :func:`.pipeline.make`.  The benchmark
    ``city`` has turned copies of images of the pool (its split ``test`` only flags
    them), and a patch of an image that a rule of provenance names.

    Returns:
        The config of the run.
    """
    config = make(root)
    for number, name in enumerate(NASTY):
        write(root / 'sea' / name, scene(50 + number))
    write(root / 'land/copy.png', cv2.convertScaleAbs(scene(10), alpha=1.02))
    write(root / 'land/p7_a.png', scene(60))
    write(root / 'city/val/0.png', np.rot90(scene(50)))
    write(root / 'city/val/1.png', np.rot90(scene(11)))
    write(root / 'city/val/p7_0.png', scene(61))
    write(root / 'city/test/2.png', np.rot90(scene(12)))
    splits = {name: dict(root=f'{root}/city/{name}') for name in ('val', 'test')}
    settings = Config.fromfile(config)
    settings.merge_from_dict(
        {
            'crop': dict(size=CROP, stride=CROP),
            'selection.num_selected': NUM_SELECTED,
            'check': dict(
                benchmarks=dict(city=splits),
                exceptions={'city/test': 'flag'},
                features=None,
            ),
            'provenance': [
                dict(
                    collection='*',
                    pattern=r'(p\d+)_\w+',
                    image=r'\1',
                    benchmarks=['city'],
                )
            ],
            'report': dict(title=TITLE),
        }
    )
    settings.dump(config)
    curate(config, root / 'run', stages=STAGES[: STAGES.index('report') + 1])
    return config


def read_record(config: Path, work_dir: Path, **options: object) -> RunRecord:
    """Return what the stage hands to the report."""
    settings = load_settings(config, options)
    return ReportStage(CurationRun(settings, WorkDir(work_dir), quiet=True)).record()


def report_again(config: Path, work_dir: Path, **options: object) -> str:
    """Repeat the stage report; returns its page."""
    WorkDir(work_dir).forget('report')
    curate(config, work_dir, stages=('report',), options=options)
    return (work_dir / 'report/report.html').read_text()
