"""Configuration of the documentation site, built by ``make docs``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

from api_pages import write_api_pages  # noqa: E402

from s5_mm.version import __version__  # noqa: E402

project = 's5_mm'
author = 'The s5_mm authors'
copyright = author
version = release = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build', 'api_pages.py']
html_theme = 'alabaster'
html_title = f's5_mm {release}'
html_theme_options = dict(
    description='Semi-supervised segmentation of remote sensing images in OpenMMLab',
    page_width='1160px',
    sidebar_width='260px',
    fixed_sidebar=True,
)

# Headings get the anchors that GitHub gives them.
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']

# The site is built on any machine: what is not installed is mocked.
OPTIONAL = ('faiss', 'huggingface_hub', 'mmdet', 'mmrotate', 'pyarrow', 'rasterio')
OPTIONAL += ('shapely', 'timm')
autodoc_mock_imports = [name for name in OPTIONAL if find_spec(name) is None]
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def skip_fields(
    app: Any, what: str, name: str, value: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out fields of named tuples: ``Attributes`` of the class describes them."""
    return True if type(value).__name__ == '_tuplegetter' else None


def setup(app: Any) -> None:
    """Write the API pages before Sphinx looks for its sources."""
    write_api_pages(ROOT / 's5_mm', ROOT / 'docs/api')
    app.connect('autodoc-skip-member', skip_fields)
