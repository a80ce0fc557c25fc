"""README's first hour, word for word: from a clone to a prediction on own images."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from s5_mm.io.images.read import read_mask
from s5_mm.visualization import categorical_palette
from tests.test_datasets.own_folders import scene, write, write_folder

from .blocks import ROOT, blocks_of
from .commands import fill

NEW = 99
"""A scene that no model has seen."""

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / '.git').exists() or not all(map(shutil.which, ('git', 'make'))),
        reason='needs a git checkout, git and make',
    )
]


class Walk(NamedTuple):
    """Where somebody is after README's first commands.

    Attributes:
        checkout: The clone.
        data: The folder of own images.
        image: An image without mask.
        output: What the commands printed.
    """

    checkout: Path
    data: Path
    image: Path
    output: str

    def run(self, text: str, **replace: str | Path) -> str:
        """Run lines of a page in the clone, with its environment."""
        words = {'DATA': self.data, 'IMAGE': self.image, **replace}
        return _bash(f'source .venv/bin/activate\n{_fill(text, words)}', self.checkout)


def _fill(text: str, words: dict[str, str | Path]) -> str:
    """Put paths in the place of the words that README tells the reader to replace."""
    return fill(text, {word: shlex.quote(str(path)) for word, path in words.items()})


def _bash(script: str, cwd: Path) -> str:
    """Run lines as somebody types them, none of whose variables are ours."""
    clean = {k: os.environ[k] for k in ('HOME', 'LANG', 'TMPDIR') if k in os.environ}
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script],
        cwd=cwd,
        env={
            **clean,
            'PATH': '/usr/local/bin:/usr/bin:/bin',
            'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '2'),
            # What `make environment` finds installed is not downloaded again.
            'PIP_NO_INDEX': '1',
            'PIP_NO_BUILD_ISOLATION': '0',
        },
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, f'{script}\n{done.stdout}{done.stderr}'[-6000:]
    return done.stdout + done.stderr


def _environment(python: Path) -> str:
    """Lines that make an environment whose packages are those of the tests.

    `make environment` completes an environment that is there: so it installs the clone
    and checks the rest, without downloading 3 GB.
    """
    site = sysconfig.get_path('purelib')
    version = f'python{sysconfig.get_python_version()}'
    return (
        f'{shlex.quote(str(python))} -m venv --without-pip .venv\n'
        f'echo {shlex.quote(site)} > .venv/lib/{version}/site-packages/installed.pth\n'
    )


@pytest.fixture(scope='module')
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Type README's first block."""
    here = tmp_path_factory.mktemp('first hour')
    data = write_folder(here / 'my images', 10)
    image = here / 'new scene.png'
    write(image, scene(NEW, 128)[0])
    block = blocks_of('README.md')[0]
    clone, *rest = block.text.splitlines()
    assert clone.startswith('git clone <this repository> s5_mm && cd s5_mm')
    assert len(block.commands) == 6
    clone = clone.replace('<this repository>', shlex.quote(str(ROOT)))
    python = Path(sysconfig.get_path('scripts')) / 'python'
    words = {'DATA': data, 'IMAGE': image}
    lines = '\n'.join(_fill(line, words) for line in rest)
    output = _bash(f'{clone}\n{_environment(python)}{lines}', here)
    return Walk(here / 's5_mm', data, image, output)


def test_the_prediction_is_right(walk: Walk) -> None:
    rasterio = pytest.importorskip('rasterio')
    labels = read_mask(str(walk.checkout / 'labels.tif'))
    truth = scene(NEW, 128)[1]
    assert labels.shape == truth.shape
    assert set(np.unique(labels)) == {0, 1}
    # Always the more frequent class would be right at 1 - mean(truth), some 0.8.
    right = (labels == truth).mean()
    assert right > 0.95 > 1 - truth.mean()
    with rasterio.open(walk.checkout / 'labels.tif') as file:
        colours = file.colormap(1)
        assert file.tags(1)['classes'] == '["land", "water"]'
    assert [list(colours[i][:3]) for i in (0, 1)] == categorical_palette(2)


def test_the_same_model_in_python(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's snippet gives the labels that the command has written."""
    monkeypatch.chdir(walk.checkout)
    scope: dict = {}
    exec(
        blocks_of('README.md', 'python')[0].text.replace('IMAGE', str(walk.image)),
        scope,
    )
    labels, written = scope['labels'].numpy(), read_mask('labels.tif')
    assert labels.shape == written.shape
    # The command predicts the image in windows.
    assert (labels == written).mean() > 0.97


def test_the_checkout_stays_clean(walk: Walk) -> None:
    """Configs, lists and checkpoints of one's own are nothing that git shows."""
    status = ['git', 'status', '--porcelain']
    found = subprocess.run(
        status, cwd=walk.checkout, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ['??', 'labels.tif']
    (walk.checkout / 'data').mkdir()
    (walk.checkout / 'data/a.jpg').touch()
    found = subprocess.run(
        status, cwd=walk.checkout, capture_output=True, text=True, check=True
    )
    assert 'data' not in found.stdout


def test_the_page_of_the_first_model(walk: Walk) -> None:
    """Its commands work as printed; the training is README's own line."""
    prepare, train, segment, show, larger, verify = blocks_of('docs/first_model.md')
    readme = [
        line.split(' #')[0].strip() for line in blocks_of('README.md')[0].commands
    ]
    for block in (prepare, train, segment):
        assert block.text.strip() in readme
    assert 'next:\n  python tools/train.py configs/own/mine.py\n' in walk.output

    walk.run(show.text)
    drawn = sorted((walk.checkout / 'pictures').rglob('*.png'))
    assert len(drawn) == 2  # 20 % of ten
    assert 'train/sup: 8 samples, 0 bad' in walk.run(verify.text)
    checkpoint = walk.checkout / 'work_dirs/mine/iter_400.pth'
    walk.run(larger.text, FILE=checkpoint)
    text = (walk.checkout / 'configs/own/mine_b.py').read_text()
    assert f"init_cfg=dict(type='Pretrained', checkpoint='{checkpoint}')" in text


def test_large_images_as_the_page_says(walk: Walk) -> None:
    """The first line of docs/inference.md, with what has been trained."""
    command = blocks_of('docs/inference.md')[0].commands[0]
    assert command == (
        'python tools/segment_raster.py CONFIG CHECKPOINT scene.tif labels.tif'
    )
    rasterio = pytest.importorskip('rasterio')
    image = scene(NEW, 160)[0]
    profile = dict(driver='GTiff', width=160, height=160, count=3, dtype='uint8')
    path = walk.checkout / 'scene.tif'
    with rasterio.open(path, 'w', crs='EPSG:32652', **profile) as file:
        file.write(image.transpose(2, 0, 1))
    (walk.checkout / 'labels.tif').unlink()
    walk.run(
        command,
        CONFIG='configs/own/mine.py',
        CHECKPOINT='work_dirs/mine/iter_400.pth',
    )
    with rasterio.open(walk.checkout / 'labels.tif') as file:
        assert file.crs.to_epsg() == 32652
        right = (file.read(1) == scene(NEW, 160)[1]).mean()
    assert right > 0.95


def test_a_config_of_ones_own_breaks_no_test(walk: Walk) -> None:
    """Next to those of the package, or in its own folder."""
    leaf = walk.checkout / 'configs/s4p/vit-t_mine.py'
    leaf.write_text("_base_ = ['./vit-t_dubai.py']\n")
    command = 'python -m pytest {} tests/test_configs/{}'
    collected = command.format('-q --collect-only', 'test_configs.py -k "not survives"')
    assert 'mine.py' not in walk.run(collected)
    assert 'mine.py' not in walk.run(command.format('-v', 'test_metafiles.py'))
    leaf.unlink()
