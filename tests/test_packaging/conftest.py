"""Helpers of the packaging tests: the commands of ``tools/misc`` as modules."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'misc'))


@pytest.fixture(scope='session')
def built_wheel(tmp_path_factory):
    """The wheel of this checkout, built once, without network."""
    import check_wheel

    return check_wheel.build_wheel(tmp_path_factory.mktemp('wheel'))


@pytest.fixture
def versions(monkeypatch):
    """Stand-in for what is installed: name to version."""
    installed = {
        'torch': '2.15.0',
        'torchvision': '0.29.2',
        'onedl-mmcv': '2.3.6',
        'onedl-mmengine': '0.10.12',
        'opencv-python-headless': '4.12.0.88',
        's5_mm': '0.1.0',
    }

    def version(distribution):
        if distribution not in installed:
            raise metadata.PackageNotFoundError(distribution)
        return installed[distribution]

    monkeypatch.setattr(metadata, 'version', version)
    return installed
