"""Write one page of API reference for each package of ``s5_mm``.

A package with ``__all__`` is documented by these names. One without, such as
``s5_mm.io``, is documented module by module.
"""

from __future__ import annotations

import ast
from pathlib import Path

_MODULE = """
{title}
{line}

.. automodule:: {module}
"""
_TREE = """
.. toctree::
   :maxdepth: 1

"""


def write_api_pages(package: Path, out: Path) -> None:
    """Write the pages of a package and of all packages below it.

    Args:
        package: Folder of the package.
        out: Folder of the pages, ``<dotted name>.rst`` each. Pages that are no longer
            needed are removed; a page whose text is unchanged keeps its time stamp,
            so that Sphinx does not read it again.
    """
    pages = {
        f'{_dotted(path.parent, package)}.rst': _page(path.parent, package)
        for path in sorted(package.rglob('__init__.py'))
        if '.mim' not in path.parts
    }
    out.mkdir(exist_ok=True)
    for old in out.glob('*.rst'):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        page = out / name
        if not page.is_file() or page.read_text(encoding='utf-8') != text:
            page.write_text(text, encoding='utf-8')


def _page(folder: Path, top: Path) -> str:
    """Write the text of the page of one package."""
    below = [path.parent for path in sorted(folder.glob('[!.]*/__init__.py'))]
    # A name that a package takes over from one below it is documented there.
    taken = {name for path in below for name in _public(path) or ()}
    names = _public(folder)
    text = _section(_dotted(folder, top), '=')
    if taken.intersection(names or ()):
        excluded = ', '.join(sorted(taken.intersection(names)))
        text += f'   :exclude-members: {excluded}\n'
    if names is None:
        for module in sorted(folder.glob('[!_]*.py')):
            text += _section(_dotted(module.with_suffix(''), top), '-')
    if below:
        text += _TREE + ''.join(f'   {_dotted(path, top)}\n' for path in below)
    return text.lstrip()


def _section(module: str, underline: str) -> str:
    """Write the section of one module."""
    title = f'``{module}``'
    return _MODULE.format(title=title, line=underline * len(title), module=module)


def _dotted(path: Path, top: Path) -> str:
    """Return the dotted name of a file or folder below the top package."""
    return '.'.join(path.relative_to(top.parent).parts)


def _public(folder: Path) -> list[str] | None:
    """Return the names in ``__all__`` of a package, None if it has none."""
    tree = ast.parse((folder / '__init__.py').read_text(encoding='utf-8'))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__':
            items = ast.walk(node.value)
            return [item.value for item in items if isinstance(item, ast.Constant)]
    return None
