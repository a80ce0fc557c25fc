"""Each module of tests starts without the state that a runner leaves behind."""

import gc
import sys

import pytest
from mmengine.logging import MessageHub

import s5_mm  # noqa: F401  before mmdet and mmrotate, which import mmcv.ops

_frozen = 0


@pytest.fixture(scope='module', autouse=True)
def _fresh_message_hub():
    """Forget the iteration of the last runner, which models read in `loss`."""
    MessageHub._instance_dict.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let garbage collections pass over what is imported: a million objects.

    Every data set of mmengine collects when it is built, a third of a short training.
    """
    global _frozen
    if len(sys.modules) > _frozen + 100:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


def pytest_unconfigure():
    """Or extension modules take for a leak what is left at the end."""
    gc.unfreeze()
