"""The .safetensors files hold tensors and the meta of a checkpoint, nothing else."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from s5_mm.checkpoints import (
    DamagedCheckpointError,
    load_data_only,
    read_safetensors,
    write_safetensors,
)


def _state():
    whole = torch.arange(12.0).view(4, 3)
    return {
        'whole': whole,
        'view': whole[2:],  # shares the storage of another
        'turned': whole.t(),  # is not contiguous
        'half': torch.ones(2, dtype=torch.bfloat16),
        'count': torch.tensor(3),
    }


def test_tensors_and_meta_survive(tmp_path):
    state, meta = _state(), dict(dataset_meta=dict(classes=['a', 'b']), epoch=3)
    write_safetensors(tmp_path / 'x.safetensors', state, meta)
    found = load_data_only(tmp_path / 'x.safetensors')
    assert found['meta'] == meta
    assert found['state_dict'].keys() == state.keys()
    for name, tensor in found['state_dict'].items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, state[name])
    # Other programs read it as well.
    assert torch.equal(load_file(tmp_path / 'x.safetensors')['view'], state['view'])


def test_a_file_without_meta_is_a_plain_state_dict(tmp_path):
    save_file({'w': torch.ones(2)}, tmp_path / 'foreign.safetensors')
    found = load_data_only(tmp_path / 'foreign.safetensors')
    assert found.keys() == {'w'}
    write_safetensors(tmp_path / 'own.safetensors', {'w': torch.ones(2)})
    assert read_safetensors(tmp_path / 'own.safetensors').keys() == {'w'}


def test_meta_that_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.safetensors'
    write_safetensors(path, {'w': torch.ones(2)})
    with pytest.raises(TypeError, match='not JSON serializable'):
        write_safetensors(path, {'w': torch.zeros(2)}, dict(model=object()))
    assert torch.equal(read_safetensors(path)['w'], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ['x.safetensors']


@pytest.mark.parametrize('kind', ['cut', 'header', 'meta', 'no_json'])
def test_damaged_files_are_named(tmp_path, kind):
    path = tmp_path / 'bad.safetensors'
    write_safetensors(path, {'w': torch.ones(64)}, dict(a=1))
    content = path.read_bytes()
    if kind == 'cut':
        path.write_bytes(content[:-8])
    elif kind == 'header':
        path.write_bytes(struct.pack('<Q', 2**40) + content[8:])
    else:
        meta = json.dumps([1]) if kind == 'meta' else '{'
        save_file({'w': torch.ones(2)}, path, metadata={'s5_mm.meta': meta})
    with pytest.raises(DamagedCheckpointError, match=r'bad\.safetensors: damaged'):
        load_data_only(path)
