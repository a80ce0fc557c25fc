"""Fixtures of the tests of metrics."""

import pytest


@pytest.fixture
def logged(monkeypatch):
    """What the metric logs, a text each."""
    said = []
    monkeypatch.setattr(
        's5_mm.evaluation.oriented_metric.print_log',
        lambda text, *_: said.append(text),
    )
    return said
