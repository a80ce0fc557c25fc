"""Each module of tests starts without the state that a runner leaves behind."""

import pytest
from mmengine.logging import MessageHub

import s5_mm  # noqa: F401  before mmdet and mmrotate, which import mmcv.ops


@pytest.fixture(scope='module', autouse=True)
def _fresh_message_hub():
    """Forget the iteration of the last runner, which models read in `loss`."""
    MessageHub._instance_dict.clear()
