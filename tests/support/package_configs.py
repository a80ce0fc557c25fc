"""Which configs belong to the package: those a person adds to a checkout do not."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def package_configs() -> frozenset[Path]:
    """Return the configs that git tracks; outside of a checkout all but ``own``."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--', 'configs'],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.decode().split('\0')
        found = [ROOT / name for name in names if name.endswith('.py')]
        return frozenset(path for path in found if path.exists())
    every = (ROOT / 'configs').rglob('*.py')
    return frozenset(path for path in every if path.parent.name != 'own')
