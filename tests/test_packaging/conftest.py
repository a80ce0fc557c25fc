"""Helpers of the packaging tests."""

from importlib import metadata

import pytest

from tools.misc import check_wheel


@pytest.fixture(scope='session')
def built_wheel(tmp_path_factory):
    """The wheel of this checkout, built once, without network."""
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
