"""Choose the patches that are worth training on, from any amount of imagery.

    python data_curation/curate.py run CONFIG --work-dir DIR
    python data_curation/curate.py status --work-dir DIR
    python data_curation/curate.py scan CONFIG --work-dir DIR --dry-run

`run` does every stage that is not done yet: plan, scan, cluster, score, select, check,
materialize, report, verify; each of them is also a command.  Stopped anywhere, the same
command goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from s5_mm.cli.arguments import add_options_argument
from s5_mm.cli.command import CommandParser, start_command
from s5_mm.curation.run import CurationRun
from s5_mm.curation.settings import load_settings
from s5_mm.curation.stages import STAGE_TYPES
from s5_mm.curation.status import outlook, status
from s5_mm.curation.work_dir import WorkDir
from s5_mm.io.crop_tables.run_names import STAGES

# Beside this folder in a checkout as in an installed package.
TEST_SCRIPT = Path(__file__).resolve().parents[1] / 'tools' / 'test.py'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__, __file__)
    add = parser.add_argument
    add('command', choices=('run', 'status', *STAGES), help='what to do')
    add('config', nargs='?', metavar='CONFIG', help='e.g. configs/curation/rs4p1m.py')
    add('--work-dir', required=True, metavar='DIR', help='folder of the run')
    add(
        '--jobs',
        type=int,
        default=os.cpu_count() or 1,
        help='processes that decode images (all cores)',
    )
    add(
        '--redo',
        choices=STAGES,
        help='forget this stage and those behind it, and do them again',
    )
    add('--dry-run', action='store_true', help='say what there is to do, write nothing')
    add_options_argument(parser)
    args = parser.parse_args(argv)
    if args.command != 'status' and args.config is None:
        parser.error(f'{args.command} needs CONFIG')
    if args.jobs < 1:
        parser.error(f'--jobs {args.jobs}, expected at least 1')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parse_args(argv)
    work = WorkDir(args.work_dir)
    stages = STAGES if args.command == 'run' else (args.command,)
    try:
        if args.command == 'status':
            sys.stdout.write(status(work) + '\n')
            return 0
        settings = load_settings(args.config, args.cfg_options)
        run = CurationRun(settings, work, args.jobs, TEST_SCRIPT)
        if args.dry_run:
            sys.stdout.write(outlook(run, stages) + '\n')
            return 0
        with work.lock():
            if args.redo:
                work.forget(args.redo)
            for number, stage in enumerate(stages, 1):
                if len(stages) > 1:
                    sys.stderr.write(f'{stage} ({number} of {len(stages)})\n')
                STAGE_TYPES[stage](run).run()
    except FileNotFoundError:
        raise
    except BrokenProcessPool:
        raise SystemExit(
            'a process was killed, for lack of memory most often; start again with '
            f'--jobs below {args.jobs} to go on'
        ) from None
    except OSError as error:
        raise SystemExit(f'{error}; start again to go on') from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt('the same command goes on') from None
    sys.stdout.write(status(work) + '\n')
    return 0


if __name__ == '__main__':
    start_command(main)
