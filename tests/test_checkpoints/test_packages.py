"""package:// addresses: weights of installed packages, which are never imported."""

import sys

import pytest
import torch
from mmengine.runner import CheckpointLoader

from s5_mm.checkpoints import (
    UnsafeCheckpointError,
    install_safe_loader,
    load_address,
    write_safetensors,
)
from s5_mm.checkpoints.packages import find_packaged

NAME = 'some_weights_model'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Folder of an installed package that must not run."""
    folder = tmp_path / 'site' / NAME
    (folder / 'models').mkdir(parents=True)
    mark = tmp_path / 'executed'
    (folder / '__init__.py').write_text(f'open({str(mark)!r}, "w")')
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    assert not mark.exists()
    assert NAME not in sys.modules


@pytest.mark.parametrize('suffix', ['pth', 'pt', 'safetensors'])
@pytest.mark.parametrize('form', ['package://{}', 'package://{}/models/weights.{}'])
def test_the_weights_of_a_package_are_found(package, form, suffix):
    weights, path = {'w': torch.arange(3.0)}, package / f'models/weights.{suffix}'
    if suffix == 'safetensors':
        write_safetensors(path, weights)
    else:
        torch.save(weights, path)
    address = form.format(NAME, suffix)
    assert find_packaged(address) == str(path)
    assert torch.equal(load_address(address)['w'], weights['w'])


def test_mmengine_reads_these_addresses_as_data(package):
    torch.save({'w': torch.ones(2), 'x': sys.exit}, package / 'evil.pth')
    torch.save({'w': torch.ones(2)}, package / 'weights.pth')
    schemes = dict(CheckpointLoader._schemes)
    install_safe_loader()
    try:
        load = CheckpointLoader.load_checkpoint
        assert torch.equal(load(f'package://{NAME}/weights.pth')['w'], torch.ones(2))
        with pytest.raises(UnsafeCheckpointError, match=r'evil\.pth: refused'):
            load(f'package://{NAME}/evil.pth')
    finally:
        CheckpointLoader._schemes = schemes


def test_a_package_that_is_not_installed_says_what_to_type():
    with pytest.raises(
        FileNotFoundError,
        match='^package://no_such_model: package no_such_model is not installed; '
        'pip install no-such-model$',
    ):
        load_address('package://no_such_model')


def test_a_module_without_a_folder_is_no_package(package):
    (package.parent / 'alone_model.py').write_text('1 / 0')
    with pytest.raises(FileNotFoundError, match='alone_model is not installed'):
        load_address('package://alone_model')


def test_none_or_several_files_are_refused_by_name(package):
    with pytest.raises(
        FileNotFoundError, match=r'one weights file, found 0; .*: \[\]$'
    ):
        find_packaged(f'package://{NAME}')
    for name in ('models/a.pth', 'b.safetensors'):
        (package / name).touch()
    with pytest.raises(
        FileNotFoundError,
        match=r"found 2; weights in .*: \['b\.safetensors', 'models/a\.pth'\]$",
    ):
        find_packaged(f'package://{NAME}')
    with pytest.raises(FileNotFoundError, match=r'models/c\.pth: expected one'):
        find_packaged(f'package://{NAME}/models/c.pth')


@pytest.mark.parametrize(
    'address',
    [
        'package://',
        'package://a-b',
        'package://a.b',
        'package://../a',
        f'package://{NAME}/../secret.pth',
        f'package://{NAME}/',
        f'package://{NAME}//etc/weights.pth',
    ],
)
def test_other_forms_are_refused(address, package):
    with pytest.raises(ValueError, match='expected package://NAME or'):
        find_packaged(address)
