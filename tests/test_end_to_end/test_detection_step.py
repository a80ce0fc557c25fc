"""What a training step of an oriented detector asks the device."""

import pytest

pytest.importorskip('mmrotate', reason='part of the extra det')

from mmengine.runner import Runner  # noqa: E402

from s5_mm.ops import is_compiled  # noqa: E402

from ..test_models.test_detectors.oriented import hosted  # noqa: E402
from .boxes import config, draw  # noqa: E402
from .host_syncs import count_host_syncs  # noqa: E402

FIRST, STOP = 1, 3


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    return {name: draw(folder / name, 4, seed) for seed, name in enumerate('ab')}


def _count(monkeypatch, roots, work_dir, name, change=None):
    """Calls by name in two iterations without log, checkpoint or validation."""
    counts = count_host_syncs(monkeypatch, FIRST, STOP)
    cfg = config(roots, work_dir, STOP + 1, moe=len(roots) > 1)
    cfg.default_hooks.checkpoint.interval = STOP + 1
    # As all schedules here; the plain AdamW reads its counters of steps on the CPU.
    cfg.optim_wrapper.optimizer.fused = True
    cfg.experiment_name = name
    if change:
        cfg.model = change(cfg.model.to_dict())
    Runner.from_cfg(cfg).train()
    return counts


@pytest.mark.parametrize('names', ['a', 'ab'])
def test_host_synchronisations_between_log_points(two, tmp_path, monkeypatch, names):
    """One, of the sizes of the images (``stack_batch``), which lie on the CPU.

    And, on a CPU, one for each level of RoIs of a data set if ``s5_mm.ops`` pools them:
    it refuses negative sides, as the compiled function does.
    """
    each = 1 if is_compiled() else 1 + 4 * len(names)
    roots = {name: two[name] for name in names}
    counts = _count(monkeypatch, roots, tmp_path, f'syncs-{names}')
    assert counts == {'__bool__': each * (STOP - FIRST)}


def test_the_hosts_classes_have_many(two, tmp_path, monkeypatch):
    """The counter counts: boxes, levels, images, proposals."""
    counts = _count(monkeypatch, {'a': two['a']}, tmp_path, 'syncs-host', hosted)
    assert sum(counts.values()) >= 40 * (STOP - FIRST)
    assert {'item', 'cpu', 'numpy', '__bool__'} <= set(counts)
