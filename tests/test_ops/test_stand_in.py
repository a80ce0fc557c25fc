"""mmcv without compiled operators: what is imported, what is called."""

import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

import s5_mm
from s5_mm.ops import StandInFinder, is_compiled, provide_ops

from ..support.mmcv_ops import environment_without, needs_compiled

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def without(tmp_path_factory):
    env = environment_without(tmp_path_factory.mktemp('site'))

    def run(script):
        return subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', script],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
        )

    return run


def test_mmdet_and_mmrotate_are_imported_and_call_the_operators_of_s5_mm(without):
    pytest.importorskip('mmrotate', reason='part of the extra det')
    done = without("""
import s5_mm, torch
assert not s5_mm.ops.is_compiled()
import mmcv.ops, mmdet.models, mmrotate.models
from mmcv.utils.env import collect_env
from mmdet.models.layers import bbox_nms
from mmengine.utils.dl_utils.misc import mmcv_full_available
from mmrotate.structures.bbox import rbbox_overlaps
assert mmcv_full_available()
assert collect_env()['MMCV Compiler'] == 'none, operators of s5_mm'
box = torch.tensor([[50.0, 50, 30, 10, 0.3]])
assert rbbox_overlaps(box, box).tolist() == [[1.0]]
assert bbox_nms.batched_nms is mmcv.ops.batched_nms
pooled = mmcv.ops.RoIAlignRotated(2, 1.0, 2)(
    torch.ones(1, 1, 99, 99), torch.tensor([[0.0, 50, 50, 30, 10, 0.3]]))
assert (pooled - 1).abs().max() < 1e-6
""")
    assert done.returncode == 0, done.stderr[-3000:]


def test_another_operator_names_itself_and_the_full_build(without):
    done = without("""
import s5_mm, torch
from mmcv.ops import min_area_polygons
print(min_area_polygons.__name__)
min_area_polygons(torch.zeros(1, 18))
""")
    assert (done.returncode, done.stdout) == (1, 'min_area_polygons\n')
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "s5_mm.ops.stand_in.OpsMissingError: the operator 'min_area_polygons' of mmcv"
    )
    assert last.endswith('make ops (or: python tools/misc/build_ops.py)')


def test_segmentation_loads_neither_the_operators_nor_torchvision(without):
    done = without("""
import s5_mm, sys
s5_mm.ops.provide_ops()
print([name for name in ('torchvision', 's5_mm.ops.operators') if name in sys.modules])
""")
    assert (done.returncode, done.stdout) == (0, '[]\n'), done.stderr[-3000:]


def test_only_the_missing_module_is_found():
    finder = StandInFinder()
    assert finder.find_spec('mmcv._ext').loader is finder
    assert finder.find_spec('mmcv._extra') is None
    assert finder.find_spec('mmcv') is None


def test_it_is_asked_last_and_there_once():
    provide_ops()
    own = [k for k, it in enumerate(sys.meta_path) if isinstance(it, StandInFinder)]
    assert len(own) == 1
    assert sys.meta_path.index(PathFinder) < own[0]
    assert s5_mm.ops.provide_ops is provide_ops


def test_names_of_python_are_not_operators():
    module = type(sys)('mmcv._ext')
    StandInFinder().exec_module(module)
    with pytest.raises(AttributeError, match="'mmcv._ext' has no attribute '__path__'"):
        _ = module.__path__


@needs_compiled
def test_compiled_operators_are_used_where_they_are():
    import mmcv._ext

    assert is_compiled()
    assert mmcv._ext.__file__.endswith(('.so', '.pyd'))


def test_the_hidden_file_is_hidden(without):
    """The environment of these tests, without s5_mm."""
    done = without('import mmcv._ext')
    assert "No module named 'mmcv._ext'" in done.stderr
