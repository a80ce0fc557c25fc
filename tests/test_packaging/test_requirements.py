"""The requirement files and the lock agree, and every floor says why."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for path in (ROOT / 'requirements').glob('*.txt')
    if not path.name.startswith('constraints')
)
LOCKS = ('constraints', 'constraints-det')
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
# Of detection and the tests alone.
DET = {'det', 'tests', 'mminstall'}


def read_lines(path):
    return [
        line
        for line in path.read_text().splitlines()
        if line.strip() and not line.startswith(('#', '-c'))
    ]


def locked(lock, python):
    """Versions that pip picks from a lock on one Python, by normal name."""
    env = {
        'python_version': python,
        'python_full_version': f'{python}.9',
        'sys_platform': 'linux',
        'platform_system': 'Linux',
        'platform_machine': 'x86_64',
        'extra': '',
    }
    found = {}
    for name in (f'{lock}.txt', f'{lock}-no-torch.txt'):
        for line in read_lines(ROOT / 'requirements' / name):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(env):
                key = canonicalize_name(requirement.name)
                assert key not in found, f'{key} is locked twice for Python {python}'
                (spec,) = requirement.specifier
                assert spec.operator == '=='
                found[key] = spec.version
    return found


def test_all_files_are_seen():
    names = {path.stem for path in FILES}
    wanted = {'runtime', 'det', 'curation', 'geo', 'timm', 'hub', 'tests', 'docs'}
    wanted |= {'gpu', 'mminstall'}
    assert wanted <= names


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_every_floor_has_a_reason(path):
    lines = read_lines(path)
    assert lines
    for line in lines:
        requirement, _, reason = line.partition('#')
        parsed = Requirement(requirement.strip())
        assert [spec.operator for spec in parsed.specifier] == ['>='], line
        assert len(reason.strip()) >= 10, f'{path.name}: no reason for {line}'


@pytest.mark.parametrize('python', PYTHONS)
@pytest.mark.parametrize('lock', LOCKS)
def test_lock_satisfies_every_floor(lock, python):
    versions = locked(lock, python)
    count = 0
    for path in FILES:
        if path.stem == 'gpu':
            continue  # not together with faiss-cpu, so not in one lock
        if path.stem in DET and lock == 'constraints':
            continue
        for line in read_lines(path):
            requirement = Requirement(line.partition('#')[0].strip())
            version = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f'{line}: {version}'
            count += 1
    assert count > 20


def test_lock_leaves_cuda_packages_to_torch():
    names = {name for x in LOCKS for python in PYTHONS for name in locked(x, python)}
    assert not [n for n in names if re.match(r'nvidia-|cuda-|triton', n)]
    for lock in LOCKS:
        no_torch = (ROOT / 'requirements' / f'{lock}-no-torch.txt').read_text()
        assert not re.search(r'^torch(vision)?==', no_torch, re.MULTILINE)


@pytest.mark.parametrize('python', PYTHONS)
def test_segmentation_gets_no_package_of_detection(python):
    own, det = (locked(lock, python) for lock in LOCKS)
    assert not {'onedl-mmdetection', 'imaug', 'numba', 'onedl-mim'} & set(own)
    assert 'pandas' not in own
    # `make environment` and then `make test` in one environment change no version.
    assert {name: det[name] for name in own if name in det} == {
        name: version for name, version in own.items() if name in det
    }


def test_extras_are_the_files():
    code = (
        'import setuptools, json; found = {}; '
        'setuptools.setup = lambda **kw: found.update(kw); '
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), "
        "{'__file__': 'setup.py', '__name__': '__main__'}); "
        "print(json.dumps([found['install_requires'], found['extras_require'], "
        "found['python_requires']]))"
    )
    out = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True
    )
    assert out.returncode == 0, out.stderr
    import json

    runtime, extras, python_requires = json.loads(out.stdout)
    assert 'torch>=2.5' in runtime
    assert set(extras) == {
        *('det', 'curation', 'geo', 'timm', 'hub', 'gpu'),
        *('mminstall', 'tests', 'docs', 'all'),
    }
    for name in ('det', 'geo', 'timm', 'hub', 'tests'):
        assert set(extras[name]) <= set(extras['all'])
    assert not set(extras['gpu']) & set(extras['all'])
    # No upper bound: a newer Python is the user's to try.
    assert python_requires == '>=3.10'
