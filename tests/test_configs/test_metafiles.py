"""The model zoo: every config is listed, every figure says whose it is."""

import re
from pathlib import Path

import pytest
import yaml

from s5_mm.cli.config import load_config
from s5_mm.cli.meta import build_on_meta, count_params
from tools.misc import model_zoo as TOOL

from ..support.package_configs import package_configs

ROOT = Path(__file__).parents[2]
FOLDERS = ('s4p', 'finetune_seg', 'finetune_seg/rsfm', 'finetune_det')
FOLDERS += ('finetune_det/rsfm',)

# Rows of the paper's Table 1 as it prints them: method, backbone, parameters of
# detection (single, multiple), DIOR-R, DOTA-v2, parameters of segmentation, Vaihingen,
# Potsdam, LoveDA, OpenEarthMap.
TABLE_1 = """
RVSA          | 111.2 222.4 68.06 55.22 103.2 412.8 78.49 91.58 52.44 66.63
GFM           | 104.1 208.2 67.67 59.15 96.9 387.6 79.61 91.85 54.98 67.78
Scale-MAE     | 334.6 669.2 66.47 56.97 327.4 1309.6 78.64 91.54 53.67 68.54
SAMRS         | - - - - 103.2 412.8 78.73 91.69 53.04 67.37
SatMAE++      | 334.6 669.2 66.82 55.60 327.4 1309.6 78.80 91.64 52.82 65.62
BillionFM     | 996.9 1993.9 73.62 58.69 990.9 - - 92.58 54.40 -
OReole-FM     | 996.9 - 71.31 - 990.9 - - 92.20 54.00 -
MTP           | 334.6 669.2 74.54 58.41 327.4 1309.6 80.62 92.47 54.16 69.04
MA3E          | 111.2 - 71.82 - 103.2 - - 91.50 - -
SelectiveMAE  | 334.6 669.2 71.75 57.84 327.4 1309.6 80.45 92.78 54.31 69.30
S5-b          | 111.2 138.3 72.95 57.20 103.2 160.4 79.85 92.40 54.02 68.65
S5-l          | 334.6 377.8 75.21 59.71 327.4 435.0 80.72 92.78 55.67 69.66
S5-h          | 671.7 730.0 75.30 59.89 663.4 824.5 80.85 92.97 55.65 70.02
"""
# Table 3: Vaihingen, Potsdam, OpenEarthMap, LoveDA.
TABLE_3 = """
sdf_vit-b              | 79.93 92.24 67.35 54.51
mdf_vit-b              | 79.82 92.25 68.41 54.53
moe-mdf_vit-b_part128  | 79.76 92.30 68.52 54.62
moe-mdf_vit-b          | 79.85 92.40 68.80 54.57
moe-mdf_vit-b_part512  | 79.84 92.39 68.66 54.64
"""


def _rows(text):
    for line in text.strip().splitlines():
        name, cells = line.split('|')
        yield name.strip(), [None if c == '-' else float(c) for c in cells.split()]


FILES = [f'configs/{folder}/metafile.yml' for folder in FOLDERS]


def _models():
    for file in FILES:
        yield from yaml.safe_load((ROOT / file).read_text())['Models']


def _results(model):
    for result in model.get('Results', []):
        for metric, value in result['Metrics'].items():
            yield result['Dataset'], metric, value


def test_the_index_is_mims():
    modelindex = pytest.importorskip('modelindex')
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert len(index.models) == len(list(_models()))
    names = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert sorted(names) == sorted(FILES)


def test_every_config_is_in_one_metafile():
    for folder, file in zip(FOLDERS, FILES, strict=True):
        models = yaml.safe_load((ROOT / file).read_text())
        known = {collection['Name'] for collection in models['Collections']}
        configs = [ROOT / model['Config'] for model in models['Models']]
        assert len(set(configs)) == len(configs)
        assert {m['In Collection'] for m in models['Models']} == known
        # Variants of a model that is listed: same network, other run.
        variants = re.compile(r'_release$|_loveda-test$|_curated$')
        there = {p for p in package_configs() if p.parent == ROOT / 'configs' / folder}
        listed = {path for path in there if not variants.search(path.stem)}
        assert set(configs) == listed
    names = [model['Name'] for model in _models()]
    assert len(set(names)) == len(names)


def test_every_figure_says_whose_it_is():
    ours = (ROOT / 'docs/lab/results.md').read_text()
    form = re.compile(
        r'(?:mIoU|mF1|mAP|AP07) \((paper, Table \d|docs/lab/results\.md, \d seeds?)\)'
    )
    count = 0
    for model in _models():
        for _, metric, value in _results(model):
            found = form.fullmatch(metric)
            assert found, metric
            count += 1
            if found[1].startswith('docs'):
                assert f'{value:.2f}' in ours, (model['Name'], metric)
            assert ('vit-t' in model['Name']) == found[1].startswith('docs')
    assert count > 80


def _paper(name, table):
    """What a metafile says the paper reports, by data set."""
    found = {}
    for model in _models():
        if name in (model['Name'], model['In Collection']):
            found |= {d: v for d, m, v in _results(model) if table in m}
    return found


@pytest.mark.parametrize(('name', 'cells'), list(_rows(TABLE_1)))
def test_table_1(name, cells):
    datasets = ('DIOR-R', 'DOTA-v2', 'Vaihingen', 'Potsdam', 'LoveDA', 'OpenEarthMap')
    expected = dict(zip(datasets, cells[2:4] + cells[6:], strict=True))
    expected = {key: value for key, value in expected.items() if value is not None}
    if name.startswith('S5-'):
        size = name[-1]
        seg, det = f'moe-mdf_vit-{size}', f'moe-mdf_orcnn_vit-{size}'
    else:
        seg, det = name, f'{name}-Oriented-R-CNN'
    assert _paper(seg, 'Table 1') | _paper(det, 'Table 1') == expected


@pytest.mark.parametrize(('name', 'cells'), list(_rows(TABLE_3)))
def test_table_3(name, cells):
    datasets = ('Vaihingen', 'Potsdam', 'OpenEarthMap', 'LoveDA')
    names = [name]
    if name == 'sdf_vit-b':
        names = [f'{name}_{dataset.lower()}' for dataset in datasets]
    found = {}
    for each in names:
        found |= _paper(each, 'Table 3')
    assert found == dict(zip(datasets, cells, strict=True))


@pytest.mark.parametrize(
    'name',
    ['s4p_vit-b_rs4p1m', 'moe-mdf_vit-b', 'sdf_vit-l_loveda', 'sdf_vit-t_dubai'],
)
def test_parameters_are_counted(name):
    (model,) = [model for model in _models() if model['Name'] == name]
    cfg = load_config(str(ROOT / model['Config']))
    assert count_params(build_on_meta(cfg)) == model['Metadata']['Parameters']


def test_the_table_of_parameters():
    """Single and multiple of the page, from the metafiles and the heads' classes."""
    counts = {m['Name']: m['Metadata']['Parameters'] for m in _models()}
    page = (ROOT / 'docs/model_zoo.md').read_text()
    rows = dict(re.findall(r'^\| ((?:S5 |Swin|ViT)[^|]*) \| (.*) \|$', page, re.M))
    methods = {
        'ViT-B': ('MA3E', 'ma3e-vit-b'),
        'ViT-B + RVSA': ('RVSA', 'rvsa-vit-b'),
        'Swin-B': ('GFM', 'gfm-swin-b'),
        'ViT-L': ('Scale-MAE', 'scalemae-vit-l'),
        'ViT-L + RVSA': ('MTP', 'mtp-vit-l'),
        'ViT-G': ('BillionFM', 'billionfm-vit-g'),
    }
    table = dict(_rows(TABLE_1))
    for row, (method, stem) in methods.items():
        cells = [cell.strip() for cell in rows[row].split('|')]
        seg, det = counts[f'sdf_{stem}_loveda'], counts[f'orcnn_{stem}_diorr']
        # Four heads of 5, 5, 7 and 9 classes; box heads of 20 and 18.
        ours = (seg, 4 * seg + 257 * (5 + 5 + 7 + 9 - 28), det, 2 * det - 2 * 1025)
        assert cells[1::2] == [f'{count / 1e6:.2f}' for count in ours]
        paper = [table[method][index] for index in (4, 5, 0, 1)]
        for cell, value in zip(cells[::2], paper, strict=True):
            assert cell == '–' or value is None or float(cell) == value
    for size in 'blh':
        line = rows[f'S5 ViT-{size.upper()}, MoE']
        cells = [cell.strip() for cell in line.split('|')]
        counted = counts[f'moe-mdf_vit-{size}'], counts[f'moe-mdf_orcnn_vit-{size}']
        assert [cells[3], cells[7]] == [f'{count / 1e6:.2f}' for count in counted]
        paper = table[f'S5-{size}']
        assert [float(cells[2]), float(cells[6])] == [paper[5], paper[1]]


def test_the_page_is_up_to_date():
    TOOL.main(['--check'])


def test_a_page_that_is_not(tmp_path, monkeypatch):
    page = tmp_path / 'zoo.md'
    page.write_text((ROOT / 'docs/model_zoo.md').read_text().replace('79.85', '80.85'))
    monkeypatch.setattr(TOOL, 'PAGE', page)
    with pytest.raises(SystemExit, match=r'zoo.md does not show the metafiles as they'):
        TOOL.main(['--check'])
    TOOL.main([])
    assert page.read_text() == (ROOT / 'docs/model_zoo.md').read_text()
    page.write_text('no marks')
    with pytest.raises(ValueError, match='expected the lines .*tables'):
        TOOL.main([])


def test_a_model_without_parameters_is_named(tmp_path):
    (tmp_path / 'model-index.yml').write_text('Import: [a.yml]')
    (tmp_path / 'a.yml').write_text('Models: [{Name: x, Config: y.py}]')
    with pytest.raises(ValueError, match="a.yml: x has no 'Metadata'"):
        TOOL.read_index(tmp_path)
