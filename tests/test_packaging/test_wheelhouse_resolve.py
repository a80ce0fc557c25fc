"""What is carried to an offline node, and in which versions."""

from packaging.requirements import Requirement

import wheelhouse_resolve
from wheelhouse import NEVER

# What pip's report holds of each package: name to requirements.
FOUND = {
    'torch': ['sympy', 'nvidia-cublas; platform_system == "Linux"'],
    'sympy': ['mpmath'],
    'mpmath': [],
    'nvidia-cublas': [],
    'onedl-mmcv': ['numpy', 'opencv-python'],
    'opencv-python': ['numpy'],
    'numpy': [],
    'scikit-image': ['networkx[default]', 'numpy'],
    'networkx': ['matplotlib; extra == "default"', 'lxml; extra == "xml"'],
    'matplotlib': ['importlib-resources; python_version < "3.11"'],
}


def close(roots, python='3.12', skip=NEVER, without=()):
    found = {
        name: {'requires_dist': requires}
        for name, requires in FOUND.items()
        if name not in without
    }
    env = wheelhouse_resolve.target_environment(python)
    return wheelhouse_resolve.closure(roots, found, frozenset(skip), env)


def test_torch_and_what_only_torch_needs_stay_out():
    carry, lacking = close(['torch>=2.5', 'onedl-mmcv>=2.3.4'])
    assert carry == {'onedl-mmcv', 'numpy'}
    assert lacking == []


def test_extras_of_a_requirement_are_followed():
    carry, _ = close(['scikit-image'])
    assert carry == {'scikit-image', 'networkx', 'matplotlib', 'numpy'}


def test_markers_are_those_of_the_node():
    """pip evaluates them for the interpreter that runs it; we for the node."""
    _, lacking = close(['matplotlib'], python='3.10')
    assert lacking == ['importlib-resources']
    assert close(['matplotlib'], python='3.12') == ({'matplotlib'}, [])


def test_excluded_packages_stay_out():
    carry, _ = close(['onedl-mmcv', 'scikit-image'], skip={'scikit-image', 'numpy'})
    assert carry == {'onedl-mmcv', 'opencv-python'}


def test_pins_follow_the_python_of_the_node():
    old = wheelhouse_resolve.pins(wheelhouse_resolve.target_environment('3.10'))
    new = wheelhouse_resolve.pins(wheelhouse_resolve.target_environment('3.12'))
    assert old['onedl-mmcv'] == new['onedl-mmcv'] == '2.3.6'
    assert old['scipy'] != new['scipy']
    assert 'torch' not in old
    assert 'torchvision' not in new


def test_extra_marker_counts_only_when_asked_for():
    env = wheelhouse_resolve.target_environment('3.12')
    requirement = Requirement('x; extra == "a"')
    assert not wheelhouse_resolve.applies(requirement, env, ())
    assert wheelhouse_resolve.applies(requirement, env, ('a',))


def test_wheels_for_old_glibc_are_admitted_and_newer_ones_not():
    options = wheelhouse_resolve.platform_options('3.12', glibc=28)
    assert 'manylinux_2_28_x86_64' in options
    assert 'manylinux_2_17_x86_64' in options
    assert 'manylinux_2_34_x86_64' not in options
