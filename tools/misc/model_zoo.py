"""Write the tables of docs/model_zoo.md from the metafiles.

    python tools/misc/model_zoo.py            # write them
    python tools/misc/model_zoo.py --check    # say whether they are up to date

model-index.yml names the metafiles.  What stands outside of the two marks in the page
is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from s5_mm.cli.command import CommandParser, start_command

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/model_zoo.md'
BEGIN, END = '<!-- tables -->\n', '<!-- end of tables -->\n'


class Entry(NamedTuple):
    """One model of a metafile.

    Attributes:
        config: Its config, from the root of the repository.
        parameters: Their number.
        results: By data set, metrics by name with what they are from in brackets.
    """

    config: str
    parameters: int
    results: dict[str, dict[str, float]]


def read_index(root: Path = ROOT) -> dict[str, list[Entry]]:
    """Read every model of the index.

    Args:
        root: Folder of ``model-index.yml``.

    Returns:
        Models by metafile, in the order of the index.

    Raises:
        ValueError: A metafile has a model without ``Config`` or ``Parameters``.
    """
    index = yaml.safe_load((root / 'model-index.yml').read_text(encoding='utf-8'))
    return {
        name: [
            _entry(model, name)
            for model in yaml.safe_load((root / name).read_text('utf-8'))['Models']
        ]
        for name in index['Import']
    }


def _entry(model: dict[str, Any], file: str) -> Entry:
    """Read one model."""
    try:
        config, count = model['Config'], model['Metadata']['Parameters']
    except KeyError as error:
        raise ValueError(f'{file}: {model.get("Name")} has no {error}') from None
    results = {
        result['Dataset']: dict(result['Metrics'])
        for result in model.get('Results', [])
    }
    return Entry(config, count, results)


def table(entries: Sequence[Entry]) -> str:
    """Write a Markdown table of models.

    Args:
        entries: The models.

    Returns:
        One line a model; a column for each data set that has a result.
    """
    datasets = list(dict.fromkeys(name for entry in entries for name in entry.results))
    head = ['config', 'parameters [M]', *datasets]
    lines = [head, ['---'] + ['---:'] * (len(head) - 1)]
    for entry in entries:
        name = f'[{Path(entry.config).stem}](../{entry.config})'
        cells = [_cell(entry.results.get(dataset, {})) for dataset in datasets]
        lines.append([name, f'{entry.parameters / 1e6:.2f}', *cells])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def _cell(metrics: dict[str, float]) -> str:
    """Write what is known of one model on one data set."""
    return '<br>'.join(f'{value:.2f} {name}' for name, value in metrics.items()) or '–'


def render(text: str, index: dict[str, list[Entry]]) -> str:
    """Put the tables into the page.

    Args:
        text: The page.
        index: Models by metafile.

    Returns:
        The page with new tables.

    Raises:
        ValueError: The page lacks one of the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'{PAGE}: expected the lines {BEGIN!r} and {END!r}')
    parts = [
        f'### {Path(name).parent.as_posix()}\n\n{table(entries)}'
        for name, entries in index.items()
    ]
    tables = '\n'.join(parts)
    return f'{before}{BEGIN}\n{tables}\n{END}{after}'


def main(argv: list[str] | None = None) -> None:
    """Write or check the page."""
    parser = CommandParser(__doc__, __file__)
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args(argv)
    text = PAGE.read_text(encoding='utf-8')
    new = render(text, read_index())
    if not args.check:
        PAGE.write_text(new, encoding='utf-8')
    elif new != text:
        raise SystemExit(
            f'{PAGE} does not show the metafiles as they are: run '
            'python tools/misc/model_zoo.py'
        )


if __name__ == '__main__':
    start_command(main)
