"""One task runs without the packages of the other; every late name is there."""

import importlib.util
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from s5_mm import registry
from s5_mm.utils.lazy import lazy_exports

PACKAGES = (
    'curation.scoring',
    'datasets',
    'datasets.transforms',
    'evaluation',
    'models',
)
NEEDS_MMROTATE = {
    'DotaTextDataset',
    'DeviceOrientedRPNHead',
    'EnlargedRoIExtractor',
    'MaxIoUAssigner',
    'MidpointOffsetCoder',
    'MultiDatasetDetector',
    'OrientedMetric',
    'OrientedRPNHead',
    'OrientedTTAModel',
    'Shared2FCBBoxHead',
    'SmoothL1Loss',
    'VocXmlDataset',
}
#: Fails on import of a package, as if it were not installed.
BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked}:
            raise ModuleNotFoundError(f'No module named {{name}}', name=name)
sys.meta_path.insert(0, Refuse())
"""


def _late():
    for package in PACKAGES:
        module = import_module(f's5_mm.{package}')
        for name in module.LATE:
            yield package, name


@pytest.mark.parametrize(('package', 'name'), list(_late()))
def test_every_late_name_is_exported_and_registered(package, name):
    if name in NEEDS_MMROTATE:
        pytest.importorskip('mmrotate', reason='part of the extra det')
    module = import_module(f's5_mm.{package}')
    value = getattr(module, name)
    assert value.__name__ == name
    assert name in dir(module)
    found = [
        own.get(f's5_mm.{name}')
        for own in vars(registry).values()
        if isinstance(own, registry.LateRegistry)
    ]
    assert value in found or name == 'SemiBaseSegmentor'  # the base is not registered


def test_unknown_names():
    get, names, late = lazy_exports('s5_mm.models', {'segmentors': ['FixMatch']})
    assert late == {'FixMatch': 's5_mm.models.segmentors'}
    assert 'FixMatch' in names()
    with pytest.raises(AttributeError, match="'s5_mm.models' has no attribute 'Fix'"):
        get('Fix')
    assert registry.MODELS.get('s5_mm.ViT').__name__ == 'ViT'


@pytest.mark.parametrize(
    ('blocked', 'scope', 'names'),
    [
        (
            {'mmdet', 'mmrotate'},
            'mmseg',
            [
                ('MODELS', 's5_mm.FixMatch'),
                ('MODELS', 's5_mm.MultiDatasetSegmentor'),
                ('DATASETS', 's5_mm.SegDataset'),
                ('TRANSFORMS', 's5_mm.PackSample'),
                ('METRICS', 's5_mm.SegmentationMetric'),
                ('HOOKS', 's5_mm.SegPanelHook'),
            ],
        ),
        (
            {'mmseg'},
            'mmrotate',
            [
                ('MODELS', 's5_mm.ViTMoE'),
                ('MODELS', 's5_mm.MultiDatasetDetector'),
                ('MODELS', 's5_mm.EnlargedRoIExtractor'),
                ('MODELS', 's5_mm.OrientedTTAModel'),
                ('MODELS', 's5_mm.OrientedRPNHead'),
                ('MODELS', 's5_mm.SmoothL1Loss'),
                ('TASK_UTILS', 's5_mm.MaxIoUAssigner'),
                ('DATASETS', 's5_mm.MultiSourceDataset'),
                ('DATASETS', 's5_mm.DotaTextDataset'),
                ('TRANSFORMS', 's5_mm.LoadImage'),
                ('METRICS', 's5_mm.OrientedMetric'),
                ('METRICS', 's5_mm.MultiDatasetMetric'),
                ('HOOKS', 's5_mm.CheckpointFitHook'),
                ('LOOPS', 's5_mm.ResumableIterLoop'),
                ('OPTIM_WRAPPERS', 's5_mm.AmpOptimWrapper'),
            ],
        ),
    ],
)
def test_one_task_never_imports_the_other(blocked, scope, names):
    if scope == 'mmrotate':
        pytest.importorskip('mmrotate', reason='part of the extra det')
    lines = [f'assert registry.{kind}.get({name!r}), {name!r}' for kind, name in names]
    script = '\n'.join(
        [
            BLOCK.format(blocked=blocked),
            'from mmengine.registry import init_default_scope',
            'from s5_mm import registry',
            f'init_default_scope({scope!r})',
            *lines,
            f'print(sorted({blocked} & set(sys.modules)))',
        ]
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == '[]'


DETECTION = {'mmdet', 'mmrotate', 'shapely'}


def _run(blocked, script):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', BLOCK.format(blocked=blocked) + script],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ('blocked', 'module'),
    [
        (DETECTION | {'faiss', 'rasterio'}, 's5_mm.inference'),
        (DETECTION | {'faiss', 'rasterio'}, 's5_mm.datasets.conversion'),
        (DETECTION | {'faiss', 'rasterio'}, 's5_mm.datasets.patches'),
        (DETECTION | {'faiss', 'rasterio'}, 's5_mm.curation.shards.write_shards'),
        (DETECTION | {'rasterio'}, 's5_mm.curation.stages'),
    ],
)
def test_parts_are_there_without_what_they_do_not_need(blocked, module):
    done = _run(blocked, f'import {module}')
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(
    importlib.util.find_spec('faiss') is None, reason='faiss is not installed'
)
def test_curation_runs_without_the_packages_of_detection():
    """`make demo` installs neither these nor rasterio."""
    done = _run(
        DETECTION | {'rasterio'},
        "sys.argv = ['curate.py', '--help']\n"
        "import runpy; runpy.run_path('data_curation/curate.py', run_name='__main__')",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'usage: curate.py' in done.stdout


@pytest.mark.parametrize(
    ('module', 'message'),
    [
        ('s5_mm.curation.stages', r"faiss.*pip install 's5_mm\[curation\]'"),
        ('s5_mm.datasets.patches.cut_boxes', r"shapely.*pip install 's5_mm\[det\]'"),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(module, message):
    done = _run({'faiss', 'shapely'}, f'import {module}')
    assert done.returncode == 1
    assert re.search(message, done.stderr.strip().splitlines()[-1])
