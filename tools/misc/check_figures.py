"""Compare figures in README and docs/ with the commands that print them.

    python tools/misc/check_figures.py

Covers what commands compute in seconds on any machine: sizes and operations of models,
not times.  Prints a line for each figure that differs, and ends with status 1 then.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from s5_mm.cli.command import CommandParser, start_command

ROOT = Path(__file__).resolve().parents[2]
_TOOLS = 'tools/analysis_tools'
_AS_RELEASE = (
    ' --cfg-options model.segmentor.backbone.deferred_upsampling=False '
    'model.segmentor.decode_head.reassociate=False'
)


class Figure(NamedTuple):
    """A figure of a page and the command that prints it.

    Attributes:
        page: Markdown file, from the root of the repository.
        section: Heading of the part of the page that has it.
        where: Regular expression with the figure as its only group.
        command: Python file from the root of the repository, and its arguments.
        terms: Regular expressions with a figure of the command as their only group, and
            the factor of each; everything that they find is multiplied and added up.
        tolerance: Largest difference, after rounding to the digits of the page.
    """

    page: str
    section: str
    where: str
    command: str
    terms: tuple[tuple[str, float], ...]
    tolerance: float = 0.0


def cell(row: str, column: int, part: int = 0) -> str:
    """Make the pattern of a table's cell.

    Args:
        row: First cell of its row.
        column: Number of its column, 0 for the first.
        part: Number of the figure in a cell like ``26.9 / 76.5 / 148.2``.

    Returns:
        Regular expression with the figure as its only group.
    """
    start = rf'^\| *{re.escape(row)} *\|' + r'[^|\n]*\|' * (column - 1)
    return start + r' *' + r'[\d.]+ / ' * part + r'([\d.]+)'


def one(pattern: str) -> tuple[tuple[str, float], ...]:
    """Make the terms of a figure that the command prints as it is."""
    return ((pattern, 1.0),)


def all_figures() -> Iterator[Figure]:
    """List the figures."""
    yield from _segmentation()
    yield from _operations()
    yield from _zoo()
    if importlib.util.find_spec('mmrotate') is not None:
        yield from _detection()


def _segmentation() -> Iterator[Figure]:
    """List those of segmentors in docs/lab/results.md."""
    total, flops = r'^total +{}([\d.]+)', f'{_TOOLS}/get_flops.py'
    page, section = 'docs/lab/results.md', 'Size and operations of the models'
    for size in 'BLH':
        command = f'{flops} configs/s4p/vit-{size.lower()}_rs4p1m.py'
        macs = total.format(r'[\d.]+ +')
        yield Figure(page, section, cell(size, 1), command, one(total.format('')))
        yield Figure(page, section, cell(size, 3), command, one(macs))
        yield Figure(page, section, cell(size, 4), command + _AS_RELEASE, one(macs))

    section, folder = 'One model for several data sets', 'configs/finetune_seg'
    command = f'{flops} {folder}/moe-mdf_vit-b.py --dataset loveda'
    where = r'One data set\'s path through MoE-MDF costs\s+([\d.]+)'
    yield Figure(page, section, where, command, one(total.format(r'[\d.]+ +')))
    single = [f'sdf_vit-b_{n}' for n in ('vaihingen', 'loveda', 'openearthmap')]
    for part, name in enumerate(single):
        where = cell('SDF, ViT-B, one data set of 5 / 7 / 9 classes', 1, part)
        yield _params(page, section, where, f'{folder}/{name}.py')
    for where, name in (
        (cell('MDF, ViT-B', 1), 'mdf_vit-b'),
        (r'MoE-MDF, ViT-B \| ([\d.]+) .* \| 128 \|', 'moe-mdf_vit-b_part128'),
        (r'MoE-MDF, ViT-B \| ([\d.]+) .* \| 256 \|', 'moe-mdf_vit-b'),
        (r'MoE-MDF, ViT-B \| ([\d.]+) .* \| 512 \|', 'moe-mdf_vit-b_part512'),
        (cell('MoE-MDF, ViT-L', 1), 'moe-mdf_vit-l'),
        (cell('MoE-MDF, ViT-H', 1), 'moe-mdf_vit-h'),
    ):
        yield _params(page, section, where, f'{folder}/{name}.py')
    four = ' '.join(f'{folder}/{name}.py' for name in (*single, 'sdf_vit-b_potsdam'))
    yield _params(page, section, cell('four SDF, ViT-B', 1), four, 0.02)


def _operations() -> Iterator[Figure]:
    """List those of docs/lab/performance.md, and of README where it repeats them."""
    flops, tera = f'{_TOOLS}/get_flops.py', one(r'([\d.]+) TFLOP an iteration')
    page, section = 'docs/lab/performance.md', 'Operations of an iteration'
    total = r'^total +[\d.]+ +([\d.]+)'
    layers = r'^backbone: (?:linear maps|attention core) +[\d.]+ +([\d.]+)'
    # Teacher and student, whose step is three forward passes, on 24 images; TFLOP are
    # two per multiply-add.  Recomputation runs the transformer once more.
    step = ((total, (24 + 3 * 24) * 2e-3),)
    again = (*step, (layers, 24 * 2e-3))
    for part, size in enumerate('BLH'):
        command = f'{flops} configs/s4p/vit-{size.lower()}_rs4p1m.py'
        yield Figure(page, section, cell(size, 1), command + _AS_RELEASE, again)
        yield Figure(page, section, cell(size, 2), command + _AS_RELEASE, step)
        for column, partners, row in (
            (3, 12, 'separate partners, B / L / H'),
            (4, 0, 'partners from the batch'),
        ):
            line = f'{command} --iteration 12 12 {partners}'
            yield Figure(page, section, cell(size, column), line, tera)
            where = cell(f'TFLOP of an iteration, {row}', 2, part)
            yield Figure(page, 'Prediction and outcome', where, line, tera)
        row = f'ViT-{size}'
        yield Figure('README.md', 'On a cluster', cell(row, 2), line, tera)
        million = one(r'^total +([\d.]+)')
        yield Figure('README.md', 'On a cluster', cell(row, 1), command, million)
    command = f'{flops} configs/_base_/models/upernet_vit-b.py'
    where = cell("GMAC of ViT-B's forward pass after the re-association", 2)
    yield Figure(page, 'Prediction and outcome', where, command, one(total))


def _zoo() -> Iterator[Figure]:
    """List those of segmentors in docs/model_zoo.md."""
    page, section = 'docs/model_zoo.md', "Table 1's parameters"
    folder = 'configs/finetune_seg'
    for row, name in (
        ('ViT-B', 'sdf_vit-b_loveda'),
        ('ViT-B + RVSA', 'rsfm/sdf_rvsa-vit-b_loveda'),
        ('Swin-B', 'rsfm/sdf_gfm-swin-b_loveda'),
        ('ViT-L', 'sdf_vit-l_loveda'),
        ('ViT-L + RVSA', 'rsfm/sdf_mtp-vit-l_loveda'),
        ('ViT-G', 'rsfm/sdf_billionfm-vit-g_loveda'),
        ('S5 ViT-H, MoE', 'sdf_vit-h_loveda'),
    ):
        yield _params(page, section, cell(row, 2), f'{folder}/{name}.py')
    for size in 'BLH':
        name = f'{folder}/moe-mdf_vit-{size.lower()}.py'
        yield _params(page, section, cell(f'S5 ViT-{size}, MoE', 4), name)


def _detection() -> Iterator[Figure]:
    """List those of detectors, in docs/detection.md and docs/model_zoo.md."""
    page, section, folder = 'docs/detection.md', 'Configs', 'configs/finetune_det'
    for row, name in (
        ('`{}/orcnn_vit-{{b,l,h}}_{{diorr,dotav2}}.py`', 'orcnn_vit-{}_diorr'),
        ('`{}/mdf_orcnn_vit-{{b,l,h}}.py`', 'mdf_orcnn_vit-{}'),
        ('`{}/moe-mdf_orcnn_vit-{{b,l,h}}.py`', 'moe-mdf_orcnn_vit-{}'),
    ):
        for part, size in enumerate('blh'):
            where = cell(row.format(folder), 2, part)
            yield _params(page, section, where, f'{folder}/{name.format(size)}.py')
    release = f'{folder}/moe-mdf_orcnn_vit-b_release.py'
    yield _params(page, section, cell('`..._release.py`', 2), release)
    sized = ' --cfg-options model.backbone.img_size='
    for part, size in enumerate('blh'):
        skipped = r'[\d.]+ / ' * part
        for before, name in (('gives', 'moe-mdf'), ('experts and', 'mdf')):
            where = rf'{before}\s+{skipped}([\d.]+)'
            config = f'{folder}/{name}_orcnn_vit-{size}.py'
            yield _params(page, section, where, f'{config}{sized}1024')
    config = f'{folder}/orcnn_vit-h_diorr.py'
    yield _params(page, section, r'([\d.]+) at 800 px', f'{config}{sized}800')

    page, section = 'docs/model_zoo.md', "Table 1's parameters"
    for row, column, name in (
        ('ViT-B', 6, 'orcnn_vit-b_diorr'),
        ('ViT-B + RVSA', 6, 'rsfm/orcnn_rvsa-vit-b_diorr'),
        ('Swin-B', 6, 'rsfm/orcnn_gfm-swin-b_diorr'),
        ('ViT-L', 6, 'orcnn_vit-l_diorr'),
        ('ViT-L + RVSA', 6, 'rsfm/orcnn_mtp-vit-l_diorr'),
        ('ViT-G', 6, 'rsfm/orcnn_billionfm-vit-g_diorr'),
        ('S5 ViT-H, MoE', 6, 'orcnn_vit-h_diorr'),
        ('S5 ViT-B, MoE', 8, 'moe-mdf_orcnn_vit-b'),
        ('S5 ViT-L, MoE', 8, 'moe-mdf_orcnn_vit-l'),
        ('S5 ViT-H, MoE', 8, 'moe-mdf_orcnn_vit-h'),
    ):
        yield _params(page, section, cell(row, column), f'{folder}/{name}.py')


def _params(
    page: str, section: str, where: str, configs: str, tolerance: float = 0.0
) -> Figure:
    """Make a figure of :mod:`get_params`, its fourth column."""
    reading = r'^\| \S+\.py' + r'[^|\n]*\|' * 3 + r' *([\d.]+)'
    command = f'{_TOOLS}/get_params.py {configs}'
    return Figure(page, section, where, command, one(reading), tolerance)


def check(figure: Figure, root: Path = ROOT) -> str:
    """Compare a figure with its command.

    Args:
        figure: The figure.
        root: Folder that has the page.

    Returns:
        What is wrong, in one line; '' if nothing is.
    """
    text = (root / figure.page).read_text(encoding='utf-8')
    _, heading, rest = text.partition(f'\n## {figure.section}\n')
    if not heading:
        return f'{figure.page}: there is no section {figure.section!r}'
    text = rest.partition('\n## ')[0]
    place = f'{figure.page}, {figure.section}'
    found = re.findall(figure.where, text, re.MULTILINE)
    if len(found) != 1:
        return f'{place}: {figure.where} is there {len(found)} times, expected is once'
    measured = 0.0
    for pattern, factor in figure.terms:
        printed = re.findall(pattern, _run(figure.command), re.MULTILINE)
        if not printed:
            return f'{figure.command}: {pattern} is not in what it prints'
        measured += factor * sum(map(float, printed))
    digits = len(found[0].partition('.')[2])
    measured = round(measured, digits)
    if abs(measured - float(found[0])) > figure.tolerance + 1e-9:
        return f'{place}: {found[0]}, but {figure.command} prints {measured}'
    return ''


@cache
def _run(command: str) -> str:
    """Run a command in this process and return what it prints."""
    script, *arguments = shlex.split(command)
    arguments = [str(ROOT / a) if a.startswith('configs/') else a for a in arguments]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        _load(script).main(arguments)
    return output.getvalue()


@cache
def _load(script: str) -> object:
    """Import a command of this repository."""
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line, those of the process by default.

    Returns:
        1 if a figure is wrong, else 0.
    """
    CommandParser(__doc__, __file__).parse_args(arguments)
    figures = list(all_figures())
    faults = [fault for fault in map(check, figures) if fault]
    for fault in faults:
        print(fault)
    print(f'{len(figures)} figures, {len(faults)} wrong')
    return 1 if faults else 0


if __name__ == '__main__':
    start_command(main)
