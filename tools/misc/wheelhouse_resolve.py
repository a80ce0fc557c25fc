"""Which packages a node needs, in which versions, judged by its Python, not by ours."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


class WheelhouseError(RuntimeError):
    """The wheelhouse cannot be made; the message says why."""


def pip(*arguments: str) -> str:
    """Run pip with the interpreter that runs this.

    Args:
        *arguments: Command and options.

    Returns:
        What it printed.

    Raises:
        WheelhouseError: If it fails, with the end of what it printed.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'pip', *arguments, '--disable-pip-version-check'],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        tail = '\n'.join(done.stdout.strip().splitlines()[-15:])
        raise WheelhouseError(f'pip {arguments[0]} failed:\n{tail}')
    return done.stdout


def read_lines(path: Path) -> Iterator[str]:
    """Yield the requirements of a file, without comments and options."""
    for line in path.read_text(encoding='utf-8').splitlines():
        text = line.partition('#')[0].strip()
        if text and not text.startswith('-'):
            yield text


def target_environment(python: str) -> dict[str, str]:
    """Values of PEP 508 markers on the node.

    pip evaluates markers for the interpreter that runs it, whatever
    ``--python-version`` says, so this module evaluates them itself.

    Args:
        python: E.g. ``'3.12'``.

    Returns:
        Values for ``packaging.markers.Marker.evaluate``.
    """
    return {
        'python_version': python,
        'python_full_version': f'{python}.99',
        'implementation_name': 'cpython',
        'implementation_version': f'{python}.99',
        'platform_python_implementation': 'CPython',
        'os_name': 'posix',
        'platform_machine': 'x86_64',
        'platform_system': 'Linux',
        'sys_platform': 'linux',
    }


def applies(
    requirement: Requirement, env: dict[str, str], extras: Iterable[str]
) -> bool:
    """Whether a requirement counts on the node.

    Args:
        requirement: The requirement.
        env: Marker values.
        extras: Extras that were asked for.
    """
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate({**env, 'extra': extra}) for extra in ('', *extras)
    )


def pins(env: dict[str, str]) -> dict[str, str]:
    """Locked versions for the node, without torch and torchvision.

    Args:
        env: Marker values.

    Returns:
        From the normal name to the version.
    """
    found = {}
    for line in read_lines(ROOT / 'requirements' / 'constraints-no-torch.txt'):
        requirement = Requirement(line)
        if applies(requirement, env, ()):
            version = next(iter(requirement.specifier)).version
            found[canonicalize_name(requirement.name)] = version
    return found


def platform_options(python: str, glibc: int) -> list[str]:
    """Options of pip that choose wheels for the node.

    Args:
        python: E.g. ``'3.12'``.
        glibc: Minor version of the oldest glibc 2.x to serve.

    Returns:
        Options for ``pip install --dry-run`` and ``pip download``.
    """
    tags = [f'manylinux_2_{minor}_x86_64' for minor in range(glibc, 4, -1)]
    tags += ['manylinux2014_x86_64', 'manylinux2010_x86_64', 'manylinux1_x86_64']
    options = ['--only-binary', ':all:', '--python-version', python]
    options += ['--implementation', 'cp']
    for tag in [*tags, 'linux_x86_64']:
        options += ['--platform', tag]
    return options


def resolve(
    wanted: list[str], constraints: Path, links: Path, options: list[str]
) -> dict[str, dict]:
    """Let pip choose versions; nothing is downloaded where the index has metadata.

    Args:
        wanted: Requirements.
        constraints: Constraint file.
        links: Folder of wheels built here.
        options: Options of :func:`platform_options`.

    Returns:
        Metadata per normal name.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.json'
        pip(
            *('install', '--dry-run', '--ignore-installed', '--target', folder),
            *('--report', str(report), '--constraint', str(constraints)),
            *('--find-links', str(links)),
            *options,
            *wanted,
        )
        entries = json.loads(report.read_text(encoding='utf-8'))['install']
    return {canonicalize_name(e['metadata']['name']): e['metadata'] for e in entries}


def closure(
    roots: list[str], found: dict[str, dict], skip: frozenset[str], env: dict[str, str]
) -> tuple[set[str], list[str]]:
    """Walk from the requirements to everything they need on the node.

    Args:
        roots: Requirements to start from.
        found: What :func:`resolve` returned.
        skip: Normal names that are left out with what only they need.
        env: Marker values.

    Returns:
        Names to carry, and requirements that pip left out since they do not apply to
        the interpreter that runs it.
    """
    todo = [Requirement(line) for line in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    carry: set[str] = set()
    lacking: list[str] = []
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        node = (name, frozenset(requirement.extras))
        if name in skip or node in seen:
            continue
        seen.add(node)
        if name not in found:
            requirement.marker = None
            lacking.append(str(requirement))
            continue
        carry.add(name)
        for line in found[name].get('requires_dist') or []:
            child = Requirement(line)
            if applies(child, env, requirement.extras):
                todo.append(child)
    return carry, lacking
