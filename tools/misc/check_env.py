"""Print what this environment holds, and the one line that mends each missing piece.

Needs nothing but Python: it runs before anything is installed.

    python tools/misc/check_env.py               # what segmentation needs
    python tools/misc/check_env.py --task det    # ... and oriented detection
"""

from __future__ import annotations

import sys
from pathlib import Path

# `python -I` and `-P` leave the folder of the command off the path.
sys.path.insert(0, str(Path(__file__).parent))

from env_checks import Line, check_machine, check_piece, check_python, check_rivals
from env_command import CommandParser, start_command
from env_pieces import PIECES, TASKS, version_of
from env_probe import probe


def collect(task: str) -> list[Line]:
    """Look at everything.

    Args:
        task: One of ``TASKS``.

    Returns:
        The lines of the table.
    """
    found = probe(piece.module for piece in PIECES)
    torch_version = version_of('torch')
    lines = [check_python()]
    lines += [check_piece(p, found[p.module], task, torch_version) for p in PIECES]
    lines += check_rivals()
    gpus = found['torch'].get('extra', {}).get('gpus', [])
    return lines + check_machine(gpus, task)


def render(lines: list[Line], problems_only: bool) -> str:
    """Write the table.

    Args:
        lines: What was found.
        problems_only: Leave out what is in order or not needed.

    Returns:
        The text to print.
    """
    rows = []
    for line in lines:
        if problems_only and not (line.bad and line.needed):
            continue
        mark = line.state
        if line.bad and not line.needed:
            mark = f'({line.state})'
        rows.append(f'{line.name:<12} {mark:<10} {line.text}')
        if line.mend:
            rows.append(f'{"":<12} {"mend:":<10} {line.mend}')
    return '\n'.join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``None`` takes the process's own.

    Returns:
        1 if something that the task needs is missing or broken, else 0.
    """
    parser = CommandParser(__doc__.splitlines()[0], __file__)
    parser.add_argument('--task', choices=TASKS, default='seg')
    parser.add_argument(
        '--problems-only', action='store_true', help='print only what must be mended'
    )
    args = parser.parse_args(arguments)
    lines = collect(args.task)
    table = render(lines, args.problems_only)
    if table:
        print(table)
    bad = [line.name for line in lines if line.bad and line.needed]
    verdict = f'missing for {args.task}: {", ".join(bad)}' if bad else 'all there'
    print(f'task {args.task}: {verdict}')
    return 1 if bad else 0


if __name__ == '__main__':
    start_command(main)
