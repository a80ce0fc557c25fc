"""What a compiled wheel is for: keys, and what CUDA ops ask for."""

import pytest

from ops_target import Target, find_target
from ops_wheel import OpsError

from .mmcv_wheels import TARGET


def test_key_tells_apart_what_is_not_interchangeable():
    keys = {
        TARGET.key,
        Target('2.3.7', '2.15.0+cu132', 'cp311', 'x86_64').key,
        Target('2.3.6', '2.15.0', 'cp311', 'x86_64').key,
        Target('2.3.6', '2.15.0+cu132', 'cp312', 'x86_64').key,
        Target('2.3.6', '2.15.0+cu132', 'cp311', 'aarch64').key,
        Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64', '13.2', '8.0').key,
        Target('2.3.6', '2.15.0+cu132', 'cp311', 'x86_64', '13.2', '9.0').key,
    }
    assert len(keys) == 7
    assert TARGET.key == 'onedl-mmcv-2.3.6_torch-2.15.0+cu132_cp311_x86_64_cpu'
    cuda = Target('2', '2', 'cp311', 'x86_64', '13.2', '8.0;9.0+PTX')
    assert cuda.key.endswith('_cuda13.2-sm80-90+ptx')
    assert not set(cuda.key) & set('/; ')


def test_cuda_build_needs_nvcc(monkeypatch):
    import torch
    from torch.utils import cpp_extension

    monkeypatch.setattr(torch.version, 'cuda', '13.2')
    monkeypatch.setattr(cpp_extension, 'CUDA_HOME', None)
    with pytest.raises(OpsError, match=r'nvcc of CUDA 13\.x.*--device cpu'):
        find_target('cuda', '2.3.6')


def test_cuda_build_without_gpu_asks_for_archs(monkeypatch, tmp_path):
    import torch
    from torch.utils import cpp_extension

    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'nvcc').touch()
    monkeypatch.setattr(torch.version, 'cuda', '13.2')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    monkeypatch.setattr(cpp_extension, 'CUDA_HOME', str(tmp_path))
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    with pytest.raises(OpsError, match='TORCH_CUDA_ARCH_LIST='):
        find_target('cuda', '2.3.6')
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0 9.0')
    target = find_target('cuda', '2.3.6')
    assert (target.cuda, target.archs) == ('13.2', '8.0;9.0')
