"""Which kernels run, and whether oneDNN's are there."""

import pytest
import torch

onednn_only = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available()
    or torch.backends.cpu.get_cpu_capability() != 'AVX512',
    reason='this CPU or build of torch has no oneDNN kernel with AVX-512',
)


def kernels(function):
    """Names of the CPU kernels that a call runs."""
    with torch.profiler.profile() as profile:
        function()
    return {event.key for event in profile.key_averages()}
