"""Statistics over processes equal those of one process with the whole batch."""

import torch

from s5_mm.models.layers import SyncBatchNorm

from ...support.distributed import run_ranks


def _layer():
    torch.manual_seed(0)
    layer = SyncBatchNorm(5).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    return layer


def _inputs():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(5, 5, 3, 4, generator=generator, dtype=torch.float64)
    return images + 100, torch.randn(5, 5, 3, 4, generator=generator).double()


# Unequal shares: the count has to travel too.
SHARES = {1: [slice(0, 5)], 2: [slice(0, 3), slice(3, 5)]}


def _train(rank, world):
    layer, (images, weights) = _layer(), _inputs()
    share = SHARES[world][rank]
    own = images[share].clone().requires_grad_()
    output = layer(own)
    (output.square() * weights[share]).sum().backward()
    return dict(
        output=output.detach(),
        gradient=own.grad,
        weight=layer.weight.grad,
        bias=layer.bias.grad,
        **dict(layer.named_buffers()),
    )


def test_two_processes_equal_one(tmp_path):
    alone = _train(0, 1)
    both = run_ranks(_train, 2, tmp_path)
    for name in ('output', 'gradient'):
        together = torch.cat([rank[name] for rank in both])
        torch.testing.assert_close(together, alone[name], atol=1e-12, rtol=1e-12)
    for name in ('weight', 'bias'):
        torch.testing.assert_close(sum(rank[name] for rank in both), alone[name])
    for rank in both:
        for name in ('running_mean', 'running_var', 'num_batches_tracked'):
            torch.testing.assert_close(rank[name], alone[name], atol=0, rtol=1e-12)


def _evaluate(rank, world):
    layer = _layer().eval()
    layer.running_mean.fill_(99.0)
    return layer(_inputs()[0]).detach()


def test_evaluation_needs_no_other_process(tmp_path):
    alone = _evaluate(0, 1)
    for output in run_ranks(_evaluate, 2, tmp_path):
        assert torch.equal(output, alone)


def test_one_process_is_torchs_own_layer():
    images, _ = _inputs()
    plain = torch.nn.BatchNorm2d(5).double()
    ours = _layer()
    plain.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(images), plain(images), atol=0, rtol=0)
    torch.testing.assert_close(ours.running_var, plain.running_var)
