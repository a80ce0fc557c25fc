"""Commands that run in this process find no log file of an earlier test."""

from collections import OrderedDict

import pytest
from mmengine.logging import MMLogger


@pytest.fixture(autouse=True)
def _no_logger(monkeypatch):
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict())
