"""Every converter has a page, with its command and the numbers that it compares."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[3]
TOOLS, PAGES = ROOT / 'tools/dataset_converters', ROOT / 'docs/datasets'
TABLE = json.loads((TOOLS / 'counts.json').read_text())
NAMES = sorted(
    path.stem for path in TOOLS.glob('*.py') if 'run_converter' in path.read_text()
)


def test_there_are_ten() -> None:
    assert len(NAMES) == 10
    pages = {path.stem for path in PAGES.glob('*.md')} - {'README'}
    assert pages == set(NAMES)
    assert {name.partition(',')[0] for name in TABLE} == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_page(name: str) -> None:
    page, index = (PAGES / f'{name}.md').read_text(), (PAGES / 'README.md').read_text()
    (command,) = set(
        re.findall(rf'^python tools/dataset_converters/{name}\.py \S+ \S+$', page, re.M)
    )
    # The same as in the command's own help.
    assert command in ast.get_docstring(ast.parse((TOOLS / f'{name}.py').read_text()))
    assert f']({name}.md)' in index
    for entry in TABLE:
        if entry.partition(',')[0] != name:
            continue
        for split, known in TABLE[entry]['splits'].items():
            for number in (known.get('images'), known.get('scenes')):
                if number is not None:
                    assert f'{number:,}' in page, (entry, split)
    for word in ('**From:**', '**Licence:**'):
        assert word in page


@pytest.mark.parametrize('name', NAMES)
def test_destination_is_the_folder_of_the_config(name: str) -> None:
    file = ROOT / f'configs/_base_/datasets/{name}.py'
    if name == 'isaid':
        config = Config.fromfile(str(file.with_name('isaid_rs4p1m.py')))['labelled']
    elif file.exists():
        config = Config.fromfile(str(file))[name]['train']
    else:
        pytest.skip(f'{name} has no config of its own')
    page = (PAGES / f'{name}.md').read_text()
    command = rf'{name}\.py DOWNLOADS {re.escape(config["data_root"])}$'
    assert re.search(command, page, re.M)
