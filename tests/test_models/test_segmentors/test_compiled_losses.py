"""Losses and gradients of compiled training are those of eager training, in fp64."""

import copy

import torch

from .compiled import Graphs, crops, fixmatch
from .multi_dataset import batch, build, total


def test_fixmatch():
    """With the same draws of drop path and dropout; corners aligned as the release."""
    graphs = Graphs('aot_eager')
    eager = fixmatch(align_corners=True).double()
    compiled = copy.deepcopy(eager)
    compiled.compile_steps(backend=graphs.backend, dynamic=False)
    data = eager.data_preprocessor(crops(0), training=True)
    branches = data['inputs']
    data['inputs'] = {name: image.double() for name, image in branches.items()}
    results = []
    for model in (eager, compiled):
        torch.manual_seed(1)
        losses = model.loss(**data)
        (losses['loss_sup'] + losses['loss_unsup']).backward()
        results.append(losses)
    assert graphs.count == 2
    assert not graphs.breaks
    assert results[0]['loss_unsup'] > 0
    assert results[0]['mask_ratio'] > 0
    close = dict(rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(results[1], results[0], **close)
    for (name, own), other in zip(
        compiled.named_parameters(), eager.parameters(), strict=True
    ):
        assert own.grad is not None, name
        torch.testing.assert_close(own.grad, other.grad, **close)
    for own, other in zip(compiled.buffers(), eager.buffers(), strict=True):
        torch.testing.assert_close(own, other, **close)


def test_moe_mdf_compiles_once_for_the_data_sets_of_a_batch():
    """Backbone, heads and losses are one graph, whatever the pictures."""
    graphs = Graphs('aot_eager')
    eager = build(names='ab').train()
    compiled = copy.deepcopy(eager)
    compiled.compile_steps(backend=graphs.backend, dynamic=False)
    for seed in range(3):
        data = batch('aabb', seed=seed)
        results = [model.loss(*data) for model in (eager, compiled)]
        for losses in results:
            total(losses).backward()
        torch.testing.assert_close(results[1], results[0], rtol=1e-12, atol=1e-12)
    for own, other in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-12, atol=1e-12)
    assert graphs.count == 1
    assert not graphs.breaks
