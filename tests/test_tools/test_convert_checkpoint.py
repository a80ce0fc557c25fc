"""The command that writes any recognised checkpoint under our names."""

import os

import pytest
import torch

from s5_mm.checkpoints import FORMATS, UnsafeCheckpointError, convert, load_data_only
from tools.model_converters import convert_checkpoint as TOOL

from ..test_checkpoints.test_formats import release
from ..test_checkpoints.test_loading import _mae


def _save(tmp_path, content, name='src.pth'):
    torch.save(content, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_detector_with_its_classes(tmp_path, capsys, suffix):
    state = release.detector()
    source = _save(tmp_path, {'state_dict': state, 'meta': {'CLASSES': ['x']}})
    target = tmp_path / f'out.{suffix}'
    TOOL.main([source, str(target)])
    found = load_data_only(target)
    expected = convert(state)
    assert found['state_dict'].keys() == expected.state.keys()
    for name, tensor in found['state_dict'].items():
        assert torch.equal(tensor, expected.state[name])
    meta = found['meta']
    assert meta['dataset_meta'] == expected.meta['dataset_meta']
    assert (meta['converted_from'], meta['format']) == ('src.pth', 'official-s5-det')
    out = capsys.readouterr().out
    assert 'angles turned from counter-clockwise to clockwise' in out
    assert 'left out: backbone.cls_token' in out
    assert 'model.backbone.norm_eps=1e-5 model.backbone.img_size=1024' in out
    assert 'model.detector.rpn_head.type=s5_mm.OrientedRPNHead' in out


def test_what_was_converted_is_converted_no_more(tmp_path):
    first, second = tmp_path / 'a.safetensors', tmp_path / 'b.pth'
    TOOL.main([_save(tmp_path, {'model': release.several()}), str(first)])
    TOOL.main([str(first), str(second)])
    a, b = load_data_only(first), load_data_only(second)
    assert b['meta']['format'] == 'vit'
    assert a['state_dict'].keys() == b['state_dict'].keys()
    for name, tensor in a['state_dict'].items():
        assert torch.equal(b['state_dict'][name], tensor)


def test_data_sets_are_renamed_everywhere(tmp_path):
    source = _save(tmp_path, release.detector())
    target = tmp_path / 'out.pth'
    TOOL.main([source, str(target), '--rename', 'diorr=mine', 'dotav2=yours'])
    found = load_data_only(target)
    assert set(found['meta']['dataset_meta']['datasets']) == {'mine', 'yours'}
    parts = {part for name in found['state_dict'] for part in name.split('.')}
    assert {'mine', 'yours'} < parts
    assert not {'diorr', 'dotav2'} & parts


def test_other_patches_and_bands(tmp_path, capsys):
    state = _mae(grid=14)
    state['patch_embed.proj.weight'] = torch.randn(12, 3, 14, 14)
    source, target = _save(tmp_path, {'model': state}), tmp_path / 'out.pth'
    TOOL.main([source, str(target), '--patch-size', '16', '--bands', '4'])
    weight = load_data_only(target)['state_dict'][TOOL._PATCHES]
    assert weight.shape == (12, 4, 16, 16)
    expected = TOOL.resample_patches(state['patch_embed.proj.weight'], 16)
    assert torch.equal(weight, TOOL.repeat_bands(expected, 4))
    out = capsys.readouterr().out
    assert 'resampled from (12, 3, 14, 14) to (12, 4, 16, 16)' in out


def test_a_part_of_a_file(tmp_path):
    state = {f'ema.{name}': tensor for name, tensor in _mae().items()}
    source = _save(tmp_path, {'model': state | {'other.weight': torch.zeros(1)}})
    target = tmp_path / 'out.pth'
    TOOL.main([source, str(target), '--prefix', 'ema.'])
    found = load_data_only(target)
    assert found['meta']['format'] == 'mae'
    assert set(found['state_dict']) == set(convert(_mae()).state)


def test_the_list_of_formats(capsys):
    TOOL.main(['--list'])
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == [form.name for form in FORMATS]


def test_wrong_arguments(tmp_path, capsys):
    source = _save(tmp_path, {'conv.weight': torch.zeros(1)})
    target = str(tmp_path / 'out.pth')
    for argv, text in (
        ([source], 'SRC and DST are needed'),
        ([source, 'out.bin'], 'expected a name that ends in .pth or .safetensors'),
    ):
        with pytest.raises(SystemExit):
            TOOL.main(argv)
        assert text in capsys.readouterr().err
    for extra, text in (
        (['--from', 'xyz'], "src.pth: unknown format 'xyz'; allowed:"),
        (['--from', 'official-s5-det'], "nothing in it is of the format 'official-s5-"),
        (['--rename', 'a'], '--rename a: expected OLD=NEW'),
        (['--patch-size', '16'], '--patch-size and --bands need backbone.patch_embed'),
    ):
        with pytest.raises(ValueError, match=text):
            TOOL.main([source, target, *extra])
    assert not os.path.exists(target)


def test_contradicting_names_and_code_are_refused_with_the_file(tmp_path):
    target = str(tmp_path / 'out.pth')
    source = _save(tmp_path, release.several(experts=3), 'three.pth')
    with pytest.raises(ValueError, match=r'three.pth: it has experts \[0, 1, 2\]'):
        TOOL.main([source, target])
    source = _save(tmp_path, {'model': torch.nn.Linear(1, 1)}, 'evil.pth')
    with pytest.raises(UnsafeCheckpointError, match='evil.pth: refused'):
        TOOL.main([source, target])
    assert not os.path.exists(target)
