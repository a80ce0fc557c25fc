"""Fixtures of the tests of models."""

import pytest
from mmengine.logging import MessageHub


@pytest.fixture
def hub():
    """The hub that says which iteration of how many it is."""
    MessageHub._instance_dict.clear()
    yield MessageHub.get_current_instance()
    MessageHub._instance_dict.clear()
