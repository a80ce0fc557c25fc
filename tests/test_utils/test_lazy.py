"""One task runs without the packages of the other; every late name is there."""

import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
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


DETECTION = frozenset({'mmdet', 'mmrotate', 'shapely'})
#: Packages that are missing -> scope, names of registries, modules to import then.
WITHOUT = {
    DETECTION | {'faiss', 'rasterio'}: (
        'mmseg',
        [
            ('MODELS', 's5_mm.FixMatch'),
            ('MODELS', 's5_mm.MultiDatasetSegmentor'),
            ('DATASETS', 's5_mm.SegDataset'),
            ('TRANSFORMS', 's5_mm.PackSample'),
            ('METRICS', 's5_mm.SegmentationMetric'),
            ('HOOKS', 's5_mm.SegPanelHook'),
        ],
        [
            's5_mm.inference',
            's5_mm.datasets.conversion',
            's5_mm.datasets.patches',
            's5_mm.curation.shards.write_shards',
        ],
    ),
    frozenset({'mmseg'}): (
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
        [],
    ),
    DETECTION | {'rasterio'}: ('mmseg', [], ['s5_mm.curation.stages']),
    frozenset({'faiss', 'shapely'}): (
        'mmseg',
        [],
        ['s5_mm.curation.stages', 's5_mm.datasets.patches.cut_boxes'],
    ),
}
#: Seconds go into each new interpreter: it tries all and says what failed.
TRY = """
import importlib, json
from mmengine.registry import init_default_scope
from s5_mm import registry
init_default_scope({scope!r})
said = {{}}
for kind, name in {names}:
    said[name] = '' if getattr(registry, kind).get(name) else 'not registered'
for name in {modules}:
    try:
        importlib.import_module(name)
        said[name] = ''
    except Exception as error:
        said[name] = f'{{type(error).__name__}}: {{error}}'
said['imported'] = sorted({blocked} & set(sys.modules))
print(json.dumps(said))
"""


def _run(blocked, script):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', BLOCK.format(blocked=blocked) + script],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )


@cache
def _without(blocked):
    """What an interpreter without packages says of each name: '' where it works."""
    scope, names, modules = WITHOUT[blocked]
    blocked = set(blocked)
    done = _run(
        blocked,
        TRY.format(scope=scope, names=names, modules=modules, blocked=blocked),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    'blocked',
    [key for key, (_, names, _) in WITHOUT.items() if names],
    ids=['segmentation', 'detection'],
)
def test_one_task_never_imports_the_other(blocked):
    scope, names, _ = WITHOUT[blocked]
    if scope == 'mmrotate':
        pytest.importorskip('mmrotate', reason='part of the extra det')
    said = _without(blocked)
    assert [name for _, name in names if said[name]] == []
    assert said['imported'] == []


@pytest.mark.parametrize(
    ('blocked', 'module'),
    [
        (blocked, module)
        for blocked, (_, _, modules) in WITHOUT.items()
        if blocked >= DETECTION
        for module in modules
    ],
)
def test_parts_are_there_without_what_they_do_not_need(blocked, module):
    if 'faiss' not in blocked:
        pytest.importorskip('faiss', reason='part of the extra curation')
    assert _without(blocked)[module] == ''


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
    said = _without(frozenset({'faiss', 'shapely'}))
    assert re.search(message, said[module].splitlines()[-1])
