"""Which commands of README and of the pages tests run, and why not the others."""

from __future__ import annotations

import re
from typing import NamedTuple


class Entry(NamedTuple):
    """Commands, and what becomes of them.

    Attributes:
        pages: Pattern of the whole name of a page.
        command: Pattern of the whole command, variables and globs put in.
        note: Where the command is run, or why it is not.
    """

    pages: str
    command: str
    note: str

    def matches(self, page: str, command: str) -> bool:
        """Tell whether the entry is about a command of a page."""
        return bool(
            re.fullmatch(self.pages, page) and re.fullmatch(self.command, command)
        )


DOCS = r'docs/.*'
CHECKPOINTS, RESULTS, S4P = 'docs/checkpoints.md', 'docs/lab/results.md', 'docs/s4p.md'
DETECTION, FINETUNE = 'docs/detection.md', 'docs/finetune.md'
LAB = r'docs/lab/s4_\w+\.md'
TOOLS = 'python tools/'
ANALYSIS = TOOLS + 'analysis_tools/'

#: Run word for word by test_commands.py; the note names the table that is laid there.
RUN = (
    Entry(r'.*', TOOLS + r'misc/check_env\.py', 'plain'),
    Entry(DOCS, TOOLS + r'misc/check_env\.py --task det', 'boxes'),
    Entry(DOCS, ANALYSIS + r'get_flops\.py .*', 'plain'),
    Entry(DOCS, ANALYSIS + r'get_params\.py configs/finetune_seg/(?!rsfm).*', 'plain'),
    Entry(DOCS, ANALYSIS + r'get_params\.py .*configs/finetune_det/.*', 'boxes'),
    Entry(LAB, ANALYSIS + r'paired_gain\.py .*', 'labs'),
    Entry(RESULTS, ANALYSIS + r'(compare|plot)_runs\.py .*', 'runs'),
    Entry('docs/datasets/README.md', ANALYSIS + r'browse_dataset\.py .*', 'scenes'),
    Entry('docs/data.md', TOOLS + r'misc/s4_splits\.py .*', 'pairs'),
    Entry(CHECKPOINTS, TOOLS + r'train\.py CONFIG .*', 'scenes'),
    Entry(CHECKPOINTS, TOOLS + r'test\.py CONFIG WEIGHTS', 'scenes'),
    Entry(CHECKPOINTS, TOOLS + r'model_converters/convert_checkpoint\.py .*', 'files'),
    Entry(CHECKPOINTS, r'python -c import torch; .*', 'files'),
    Entry(
        f'{CHECKPOINTS}|{FINETUNE}',
        TOOLS + r'model_converters/fold_experts\.py .*',
        'several',
    ),
    Entry(FINETUNE, TOOLS + r'test\.py OUT_DIR/loveda\.py .*', 'several'),
    Entry(S4P, r'bash tools/dist_train\.sh CONFIG 2', 'scenes'),
    Entry(DETECTION, TOOLS + r'model_converters/fold_experts\.py .*', 'boxes'),
    Entry(DETECTION, TOOLS + r'test\.py (CONFIG|OUT_DIR/\w+\.py) .*', 'boxes'),
    Entry(DETECTION, TOOLS + r'dataset_converters/dota_split\.py .*', 'boxes'),
    Entry(RESULTS, TOOLS + r'(dataset_converters/dota_split|test)\.py .*', 'harbours'),
    Entry(
        'docs/inference.md',
        TOOLS + r'segment_raster\.py .*--dataset potsdam .*',
        'large',
    ),
    Entry('data_curation/README.md', r'python data_curation/curate\.py .*', 'curation'),
    Entry('docs/curation.md', r'python data_curation/curate\.py status .*', 'curation'),
)
#: Run word for word by test_first_hour.py.
FIRST_HOUR = (
    Entry('README.md', r'git clone .*|cd s5_mm', ''),
    Entry('README.md|docs/installation.md', r'make environment', ''),
    Entry('README.md|docs/installation.md', r'source \.venv/bin/activate', ''),
    Entry('README.md', TOOLS + r'(new_dataset|train|segment_raster)\.py .*', ''),
    Entry('docs/first_model.md', TOOLS + r'.*', ''),
    Entry('docs/inference.md', TOOLS + r'segment_raster\.py CONFIG .*', ''),
)
#: Checked by test_blocks.py, not run.
NOT_RUN = (
    Entry('.*', r'make demo|python tools/demo\.py .*', 'ten minutes'),
    Entry(
        'README.md|CONTRIBUTING.md|docs/installation.md',
        'make test.*',
        'an hour; runs this test',
    ),
    Entry(
        'CONTRIBUTING.md',
        r'make (lint docstrings links|docs)|bash \.ci/run',
        'stages of .ci/run',
    ),
    Entry(S4P, TOOLS + r'test\.py .*', 'the training that comes before it'),
    Entry(
        'docs/data.md',
        TOOLS + r'misc/verify_dataset\.py CONFIG .*',
        'the first hour runs it on a config of its own',
    ),
    Entry('docs/(installation|detection).md', 'make detection', 'the network'),
    Entry(
        '.*',
        r'(make ops|python tools/misc/build_ops\.py)',
        'half an hour of a compiler',
    ),
    Entry(
        'README.md|' + DOCS,
        r'bash tools/dist_train\.sh configs/.*',
        'GPUs, the data of the paper',
    ),
    Entry(S4P, r'bash tools/dist_train\.sh CONFIG 1', 'two machines'),
    Entry('README.md|' + S4P, r'bash tools/slurm_train\.sh .*', 'Slurm'),
    Entry(
        'README.md|docs/installation.md',
        r'pip (install|wheel) .*|python(3\.11)? -m venv .*|'
        r'source env/bin/activate',
        'the network; test_packaging runs its parts',
    ),
    Entry(f'{CHECKPOINTS}|{S4P}', r'pip install .*\[timm\].*', 'the network'),
    Entry(
        'docs/inference.md',
        TOOLS + r'segment_raster\.py .*--device cuda:0',
        'a GPU, and a config of the reader',
    ),
    Entry(
        f'{CHECKPOINTS}|{FINETUNE}|{DETECTION}',
        TOOLS + r'test\.py configs/finetune_(seg|det)/moe-mdf_.*',
        'the data sets of the paper and weights for them',
    ),
    Entry(
        'docs/model_zoo.md|docs/datasets/openearthmap.md',
        TOOLS + r'train\.py configs/finetune_seg/.*',
        'Potsdam or OpenEarthMap, and a GPU',
    ),
    Entry(
        r'docs/datasets/\w+\.md',
        TOOLS + r'dataset_converters/\w+\.py DOWNLOADS .*',
        'whole archives, whose numbers it checks; test_conversion has small ones',
    ),
    Entry(LAB, ANALYSIS + r's4_lab\.py .*', 'hours of training; test_s4_lab trains'),
    Entry(LAB, TOOLS + r'misc/s4_(splits|pool)\.py .*', 'data of the reader'),
    Entry('docs/datasets/isaid.md', r'(export|sed|sort|diff) .*|sort', 'iSAID'),
    Entry(
        f'docs/curation.md|{RESULTS}|{LAB}',
        r'python data_curation/curate\.py run .*',
        'a pool of thousands of images at least',
    ),
    Entry(
        RESULTS, r'python -c from s5_mm\.testing .*', '400 drawn images take a minute'
    ),
    Entry(
        'docs/openmmlab.md|' + RESULTS + '|' + S4P,
        TOOLS + r'train\.py .*',
        'minutes to hours of training',
    ),
    Entry(RESULTS, TOOLS + r'misc/check_resume\.py .*', 'trains five times'),
    Entry(
        DOCS,
        r'python -m tools\.benchmarks\.benchmark_\w+.*',
        'minutes of an idle machine',
    ),
)
