from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools.misc import check_figures as TOOL

ROOT = Path(__file__).resolve().parents[2]

PARAMS = 'tools/analysis_tools/get_params.py configs/finetune_seg/mdf_vit-b.py'


def test_figures_of_the_docs_are_those_of_their_commands(capsys):
    figures = list(TOOL.all_figures())
    assert len(figures) >= 55
    assert len(set(figures)) == len(figures)
    assert TOOL.main([]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out == f'{len(figures)} figures, 0 wrong\n'


@pytest.fixture
def figure():
    (found,) = (f for f in TOOL.all_figures() if f.command == PARAMS)
    assert (found.page, found.section) == (
        'docs/lab/results.md',
        'One model for several data sets',
    )
    return found


@pytest.mark.parametrize(
    ('old', 'new', 'fault'),
    [
        ('132.08', '132.09', f'132.09, but {PARAMS} prints 132.08'),
        ('| MDF, ViT-B |', '| MDF, ViT-X |', 'is there 0 times, expected is once'),
        ('## One model for several', '## One', 'there is no section'),
    ],
)
def test_a_wrong_figure_is_named(figure, tmp_path, old, new, fault):
    (tmp_path / 'docs/lab').mkdir(parents=True)
    copy = Path(shutil.copy(ROOT / figure.page, tmp_path / figure.page))
    assert TOOL.check(figure, tmp_path) == ''
    text = copy.read_text()
    assert text.count(old) == 1
    copy.write_text(text.replace(old, new))
    found = TOOL.check(figure, tmp_path)
    assert found.startswith('docs/lab/results.md')
    assert fault in found
    assert '\n' not in found


def test_a_command_that_prints_something_else_is_named(figure):
    other = figure._replace(terms=TOOL.one(r'^never (\d+)'))
    assert TOOL.check(other) == f'{PARAMS}: ^never (\\d+) is not in what it prints'


def test_terms_are_weighted_and_added(figure, tmp_path):
    (term,) = figure.terms
    doubled = figure._replace(terms=((term[0], 1.5), (term[0], 0.5)))
    fault = TOOL.check(doubled)
    assert fault.endswith(f'132.08, but {PARAMS} prints 264.16')


@pytest.mark.parametrize(
    ('row', 'column', 'part', 'value'),
    [('B', 1, 0, '1.5'), ('B', 2, 0, '26.9'), ('B', 2, 2, '148.2'), ('L', 1, 0, '7')],
)
def test_cells_of_a_table(row, column, part, value):
    table = (
        '| x | y | z |\n|---|---|---|\n| B | 1.5 | 26.9 / 76.5 / 148.2 |\n| L | 7 |\n'
    )
    pattern = TOOL.cell(row, column, part)
    assert re.findall(pattern, table, re.MULTILINE) == [value]
