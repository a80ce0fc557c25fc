"""Small data, checkpoints and runs for the commands of the pages, as they name them."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from s5_mm.cli.config import load_config
from s5_mm.lab import Results, RunFigures
from s5_mm.registry import MODELS
from tests.test_checkpoints.test_formats import release
from tests.test_curation import pipeline
from tests.test_datasets.files import ids, picture, write
from tests.test_datasets.own_folders import scene
from tests.test_end_to_end import boxes as drawn_boxes
from tests.test_end_to_end import toy_mdf, toy_s4p

from .blocks import ROOT
from .commands import fill


class Table(NamedTuple):
    """What lies in front of somebody who types commands.

    Attributes:
        folder: The working folder, with the repository's folders in it.
        words: What stands for the words that a page tells its reader to replace.
    """

    folder: Path
    words: dict[str, str]

    def run(self, words: list[str]) -> None:
        """Run a command; those in Python in this process, whose imports are done."""
        program, *rest = [fill(word, self.words) for word in words]
        if program != 'python':
            environment = {**os.environ, 'PYTHON': sys.executable, 'PORT': '29641'}
            subprocess.run(
                [program, *rest], cwd=self.folder, env=environment, check=True
            )
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            if rest[0] == '-c':
                exec(rest[1], {})
                return
            patch.setattr(sys, 'argv', rest)
            patch.syspath_prepend(str(ROOT / Path(rest[0]).parent))
            MMLogger._instance_dict.clear()
            assert not runpy.run_path(rest[0])['main'](), words


def lay(name: str, folder: Path) -> Table:
    """Lay one of the tables below into a new folder.

    Args:
        name: Of the function here that does it.
        folder: Where the commands are typed.

    Returns:
        The table.
    """
    for path in ('tools', 'data_curation', 'requirements'):
        (folder / path).symlink_to(ROOT / path)
    shutil.copytree(ROOT / 'configs', folder / 'configs')
    return Table(folder, globals()[name](folder))


def plain(folder: Path) -> dict[str, str]:
    """Nothing: the commands need configs alone."""
    return {}


def runs(folder: Path) -> dict[str, str]:
    """The curves of the runs that docs/lab/results.md compares."""
    names = [f'work_dirs/sup_{seed}' for seed in range(3)]
    names += ['sdf_a_0', 'sdf_b_0', 'sdf_c_0', 'path']
    names += [f'{kind}_{seed}' for kind in ('mdf', 'moe') for seed in range(3)]
    keys = ('mIoU', 'dubai/mIoU', 'korea_s2/mIoU', 'hrsc_ships/mIoU')
    keys += ('mask_ratio', 'loss_sup', 'time')
    for name in names:
        (folder / name).mkdir(parents=True)
        lines = [json.dumps(dict.fromkeys(keys, 1.0) | {'step': i}) for i in (1, 2)]
        (folder / name / 'scalars.json').write_text('\n'.join(lines))
    return {}


def labs(folder: Path) -> dict[str, str]:
    """Results of three labs, and runs of two arms that no grid names."""
    values = {'mIoU': {200: 50.0}}
    for name, other in (
        ('harbours_5', 'recipe'),
        ('dubai_1-8', 'recipe'),
        ('selection', 'random'),
    ):
        (folder / 'work_dirs/lab' / name).mkdir(parents=True)
        arms = {
            arm: [RunFigures(arm, arm, seed, values=values) for seed in range(5)]
            for arm in ('labels_only', other)
        }
        results = Results(name, {other: 'labels_only'}, arms)
        results.write(folder / 'work_dirs/lab' / name)
    (folder / 'docs/lab').mkdir(parents=True)
    for name in ('sup', 'fm'):
        for seed in range(2):
            vis_data = folder / f'work_dirs/{name}_{seed}/1/vis_data'
            vis_data.mkdir(parents=True)
            cfg = load_config(str(ROOT / 'configs/s4p/vit-t_dubai.py'))
            cfg.randomness.seed = seed
            cfg.dump(vis_data / 'config.py')
            line = json.dumps(dict(mIoU=1.0, step=600))
            (vis_data / 'scalars.json').write_text(line)
    return {}


def scenes(folder: Path) -> dict[str, str]:
    """A run of four iterations on drawn scenes."""
    toy_s4p.write_scenes(folder / 'scenes')
    cfg = toy_s4p.toy_config(
        folder / 'scenes',
        train_cfg__max_iters=4,
        train_cfg__val_interval=4,
        default_hooks__checkpoint__interval=2,
        default_hooks__checkpoint__max_keep_ckpts=-1,
    )
    cfg.dump(folder / 'mine.py')
    toy_s4p.train(cfg, folder / 'trained')
    return dict(
        CONFIG='mine.py', WEIGHTS='trained/iter_2.pth', FOLDER='scenes', DIR='pictures'
    )


def pairs(folder: Path) -> dict[str, str]:
    """A few pairs with masks of three classes, in two sub-folders."""
    home = folder / 'data/hrsc_ships'
    for index in range(22):
        name = f'{"train" if index < 20 else "val"}/{index}.png'
        write(home / 'img_dir' / name, picture(index))
        write(home / 'ann_dir' / name, ids(index))
    return {}


def several(folder: Path) -> dict[str, str]:
    """An untrained model of two data sets."""
    with mock.patch.dict(toy_mdf.TOY, loveda=toy_mdf.TOY['cover']):
        names = ('scenes', 'loveda')
        for name in names:
            toy_mdf.write_pairs(folder / 'toy' / name, **toy_mdf.TOY[name])
        base = 'moe-mdf_vit-t_dubai-korea-hrsc'
        cfg = toy_mdf.toy_config(folder / 'toy', base, names)
    cfg.dump(folder / 'several.py')
    _save_untrained(cfg, folder / 'several.pth')
    return dict(CONFIG='several.py', CHECKPOINT='several.pth', OUT_DIR='folded')


def boxes(folder: Path) -> dict[str, str]:
    """DOTA with an image a split, and an untrained model of two data sets."""
    for name in ('train', 'val', 'test'):
        drawn = drawn_boxes.draw(folder / 'DOTA' / name, 1)
        (drawn / 'annfiles').rename(drawn / 'labelTxt')
        for path in list(drawn.glob('*/0.*')):
            path.rename(path.with_stem(name))  # patches have the names of images
    roots = {
        name: drawn_boxes.draw(folder / 'drawn' / name, 2)
        for name in ('diorr', 'dotav2')
    }
    cfg = drawn_boxes.config(roots, folder / 'run', 2, moe=True)
    cfg.dump(folder / 'two.py')
    _save_untrained(cfg, folder / 'two.pth')
    return dict(CONFIG='two.py', CHECKPOINT='two.pth', OUT_DIR='folded', DIR='out')


def harbours(folder: Path) -> dict[str, str]:
    """The two data sets of boxes of docs/lab/results.md, and an untrained model."""
    for split in ('train', 'val'):
        drawn_boxes.draw(folder / 'own/dota8' / split, 1)
        drawn = drawn_boxes.draw(folder / split, 2, size=256)
        for path in drawn.glob('annfiles/*'):
            path.write_text(re.sub('red|blue', 'ship', path.read_text()))
        shutil.copytree(drawn / 'images', folder / 'own/hrsc_ships/img_dir' / split)
        shutil.copytree(drawn / 'annfiles', folder / 'own/hrsc_ships/annfiles' / split)
    cfg = load_config(str(ROOT / 'configs/finetune_det/orcnn_vit-t_hrsc.py'))
    _save_untrained(cfg, folder / 'harbours.pth')
    return dict(CHECKPOINT='harbours.pth', DATA='own')


def large(folder: Path) -> dict[str, str]:
    """A small image, and the untrained ViT-B of the paper's four data sets."""
    rasterio = pytest.importorskip('rasterio')
    profile = dict(driver='GTiff', width=64, height=64, count=3, dtype='uint8')
    with rasterio.open(folder / 'in.tif', 'w', **profile) as file:
        file.write(scene(0)[0].transpose(2, 0, 1))
    cfg = load_config(str(ROOT / 'configs/finetune_seg/moe-mdf_vit-b.py'))
    _save_untrained(cfg, folder / 'best.pth')
    return {}


def files(folder: Path) -> dict[str, str]:
    """Files of others that are converted."""
    state = release.detector()
    patches = state['backbone.patch_embed.projection.weight']
    # 14 px, for the line that makes 16 of them.
    state['backbone.patch_embed.projection.weight'] = patches[..., :14, :14].clone()
    torch.save({'state_dict': state}, folder / 'release.pth')
    torch.save({'state_dict': {'a': torch.zeros(1)}}, folder / 'run.ckpt')
    return dict(SRC='release.pth', DST='converted.pth')


def curation(folder: Path) -> dict[str, str]:
    """A pool of thirteen drawn images."""
    (folder / 'pool').mkdir()
    config = pipeline.make(folder / 'pool')
    return dict(CONFIG=str(config), DIR='curation')


def _save_untrained(cfg: Config, path: Path) -> None:
    """Save the weights that a model starts from."""
    init_default_scope(cfg.default_scope)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(meta={}, state_dict=state), path)
