"""What the pages show works as it is printed; commands: tests/test_docs."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from s5_mm.cli.config import load_config
from s5_mm.curation.shards.write_shards import write_shards
from s5_mm.registry import DATASETS, MODELS
from tests.test_curation.shard_world import OPTIONS, SIZE, World

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize(
    ('page', 'name', 'shipped', 'classes', 'batch_size'),
    [
        (
            *('finetune', 'mine', 'finetune_seg/moe-mdf_vit-b.py'),
            dict(vaihingen=5, potsdam=5, openearthmap=9, loveda=7, mine=4),
            60,
        ),
        (
            *('detection', 'my_boxes', 'finetune_det/moe-mdf_orcnn_vit-b.py'),
            dict(diorr=20, dotav2=18, my_boxes=2),
            6,
        ),
    ],
)
def test_the_data_set_of_a_page_joins_the_others(
    page, name, shipped, classes, batch_size, tmp_path
):
    if page == 'detection':
        pytest.importorskip('mmrotate', reason='part of the extra det')
    text = (ROOT / f'docs/{page}.md').read_text()
    base, leaf = re.findall(r'```python\n(.*?)```', text, re.S)
    (tmp_path / f'{name}.py').write_text(base.replace('[...]', '[[0, 0, 0]] * 4'))
    leaf = leaf.replace(f'../_base_/datasets/{name}.py', f'./{name}.py')
    config, shipped = tmp_path / 'leaf.py', ROOT / 'configs' / shipped
    config.write_text(leaf.replace(f'./{shipped.name}', str(shipped)))
    assert sum(not line.startswith('#') for line in leaf.splitlines()) <= 10

    cfg = load_config(str(config))
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.num_classes == classes
    assert model.backbone.datasets[-1] == name
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert set(loader.dataset.sources) == set(model.datasets)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert set(evaluator.metrics) == set(model.datasets)
    assert cfg.train_dataloader.batch_size == batch_size


def test_the_unlabelled_sources_of_the_data_page_load(tmp_path, monkeypatch):
    pytest.importorskip('rasterio', reason='one of the sources is a TIFF')
    text = (ROOT / 'docs/data.md').read_text()
    start = text.index('### Shards and manifests')
    section = text[start : text.index('## Formats')]
    shards, manifest = re.findall(r'```python\n(.*?)```', section, re.S)
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path / 'data')
    (tmp_path / 'data/curation').mkdir()
    world.manifest.rename(tmp_path / 'data/curation/manifest.parquet')
    write_shards(
        'data/curation/manifest.parquet',
        world.roots,
        'work_dirs/curation/shards',
        OPTIONS,
    )
    roots = "roots=dict(millionaid='MillionAID/test', samrs='SAMRS')"
    assert roots in manifest
    manifest = manifest.replace(roots, "roots=dict(air='air', space='space')")
    samples = []
    for number, leaf in enumerate((shards, manifest)):
        config = tmp_path / f'source_{number}.py'
        config.write_text(leaf.replace(' crop_size=512,', f' crop_size={SIZE},'))
        dataset = DATASETS.build(load_config(str(config)).unlabelled)
        assert len(dataset) == len(world.pixels)
        samples.append([dataset[row]['inputs'] for row in range(8)])
    for one, two in zip(*samples, strict=True):
        assert one.shape == (3, 512, 512)
        assert torch.equal(one, two)


@pytest.mark.parametrize('path', TEXTS, ids=lambda path: path.name)
def test_files_that_the_texts_name_are_there(path):
    text = path.read_text()
    named = re.findall(r'(?:tools|configs|docs|requirements)/[\w./-]+\.\w+', text)
    mine = {
        'configs/s4p/vit-b_mine.py',
        'configs/own/mine.py',
        'configs/own/mine_data.py',
        'configs/own/mine_supervised.py',
        'configs/own/mine_train.txt',
        'configs/_base_/datasets/mine.py',
        'configs/finetune_seg/moe-mdf_vit-b_mine.py',
        'configs/_base_/datasets/my_boxes.py',
        'configs/finetune_det/moe-mdf_orcnn_vit-b_mine.py',
    }
    missing = {name for name in named if not (ROOT / name).exists()} - mine
    assert not missing
