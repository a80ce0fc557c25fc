"""What the documentation site is made of; `make docs` builds it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from s5_mm.version import __version__

from .blocks import PAGES, ROOT


def _load(path: str):
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LINKS, API = _load('tools/misc/check_links.py'), _load('docs/api_pages.py')


def test_no_link_is_dead(capsys: pytest.CaptureFixture) -> None:
    assert LINKS.main([]) == 0, capsys.readouterr().out
    assert set(LINKS.pages(ROOT)) >= {page.resolve() for page in PAGES}


@pytest.mark.parametrize(
    ('link', 'fault'),
    [
        ('b.md', ''),
        ('b.md#two-words-again', ''),
        ('b.md#two-words-again-1', ''),
        ('#own', ''),
        ('https://example.org/b.md', ''),
        ('c.md', 'a.md: c.md: there is no such file'),
        ('../b.md', 'a.md: ../b.md: there is no such file'),
        ('b.md#code', 'a.md: b.md#code: b.md has no heading of this name'),
    ],
)
def test_a_dead_link_is_named(tmp_path: Path, link: str, fault: str) -> None:
    page = tmp_path / 'a.md'
    page.write_text(f'# Own\n[x]({link}) `[code](nowhere.md)`\n```\n[y](z.md)\n```\n')
    (tmp_path / 'b.md').write_text(
        '# B\n## Two `words`, again\n```bash\n# code\n```\n## Two words again\n'
    )
    (tmp_path.parent / 'b.md').touch()
    found = list(LINKS.dead_links(page, tmp_path))
    assert found == [fault] * bool(fault)


def test_one_version_and_a_line_of_it_in_the_changelog() -> None:
    cited = re.search(r'^version: (.*)$', (ROOT / 'CITATION.cff').read_text(), re.M)[1]
    assert cited == __version__
    changes = (ROOT / 'CHANGELOG.md').read_text()
    assert re.search(rf'^## {re.escape(__version__)}\b', changes, re.M)


def test_every_page_is_in_the_index() -> None:
    text = (ROOT / 'docs/index.md').read_text()
    trees = re.findall(r'^```\{toctree\}\n(.*?)^```$', text, re.M | re.S)
    entries = ' '.join(trees).split()
    for page in sorted((ROOT / 'docs').rglob('*.md')):
        name = page.relative_to(ROOT / 'docs').with_suffix('').as_posix()
        folder = f'{Path(name).parent}/*'
        assert name == 'index' or {name, folder} & set(entries), name


def test_every_package_has_a_page_of_its_public_names(tmp_path: Path) -> None:
    API.write_api_pages(ROOT / 's5_mm', tmp_path)
    packages = [
        '.'.join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / 's5_mm').rglob('__init__.py')
        if '.mim' not in path.parts
    ]
    assert len(packages) >= 45
    assert {path.stem for path in tmp_path.iterdir()} == set(packages)
    text = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert '.. automodule:: s5_mm.io.atomic\n' in text['s5_mm.io']
    assert '_faiss' not in text['s5_mm.curation']
    # Names that a package takes over are documented once, where they are defined.
    assert text['s5_mm.models.segmentors'].count('automodule') == 1
    excluded = re.search(':exclude-members: (.*)', text['s5_mm.datasets'])[1]
    assert 'MultiSourceSampler' in excluded
    assert 'SegDataset' not in excluded
    for package in packages:
        parent, _, _ = package.rpartition('.')
        assert not parent or f'   {package}\n' in text[parent]


def test_pages_are_written_when_they_change(tmp_path: Path) -> None:
    package, out = tmp_path / 'pack', tmp_path / 'out'
    (package / 'sub').mkdir(parents=True)
    (package / '__init__.py').write_text('"""A package."""\n')
    (package / 'sub/__init__.py').touch()
    API.write_api_pages(package, out)
    before = (out / 'pack.rst').stat().st_mtime_ns
    API.write_api_pages(package, out)
    assert (out / 'pack.rst').stat().st_mtime_ns == before
    (package / 'sub/__init__.py').unlink()
    (package / 'one.py').touch()
    API.write_api_pages(package, out)
    assert [path.name for path in out.iterdir()] == ['pack.rst']
    assert '.. automodule:: pack.one\n' in (out / 'pack.rst').read_text()
