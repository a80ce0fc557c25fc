"""The benchmark of the training steps compares equal steps and prints its tables."""

import pytest
import torch

from tools.benchmarks import (
    benchmark_step,
    gpu_figures,
    jpeg_feed,
    side_by_side,
    step_on_gpu,
)

SMALL = dict(arch='t', img_size=32, batch=2)
COMMAND = ['--device', 'cpu', '--arch', 't', '--img-size', '32']
COMMAND += ['--batch', '2', '--rounds', '1']


@pytest.fixture(autouse=True)
def _restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ('case_type', 'options', 'recompute'),
    [
        (benchmark_step.S4PCase, {}, True),
        (benchmark_step.S4PCase, dict(partners='batch'), False),
        (benchmark_step.MoECase, {}, True),
    ],
)
def test_both_steps_are_the_same_in_fp64(case_type, options, recompute):
    case = case_type(**SMALL, **options, double=True)
    ours, plain = case.ours(), case.plain(recompute)
    log = case.our_step(ours, benchmark_step.Update(ours))()
    other = case.plain_step(plain, benchmark_step.Update(plain))()
    # Logged values are fp32.
    assert float(log['loss']) == pytest.approx(other['loss'], rel=1e-6)
    if case_type is benchmark_step.S4PCase:
        assert float(log['mask_ratio']) == pytest.approx(other['mask_ratio'], rel=1e-6)
        assert 0.1 < other['mask_ratio'] < 0.95  # else half of the loss is untested
        assert float(log['loss_unsup']) > 0.1
    grads = {n.removeprefix('student.'): p.grad for n, p in ours.named_parameters()}
    top = max(p.grad.abs().max().item() for p in plain.parameters())
    for name, param in plain.named_parameters():
        # Biases before a batch normalisation have gradients of rounding only.
        scale = max(param.grad.abs().max().item(), 1e-3 * top)
        assert (grads.pop(name) - param.grad).abs().max().item() <= 1e-9 * scale, name
    assert not grads


def test_prints_the_tables_of_both_precisions(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', 100.0)
    returned = []
    monkeypatch.setattr(benchmark_step, 'return_memory', lambda: returned.append(1))
    assert benchmark_step.main(COMMAND) == 0
    # Before each of three runs in fp32 and of four in bf16, in two rounds.
    assert len(returned) == 2 * (3 + 4)
    out = capsys.readouterr().out
    for line in (
        'gradients differ by',
        'TFLOP an iteration: ours',
        'step of S4P, ViT-T, 4 images of 32 px, fp32, forward + backward, 1 rounds',
        'step of S4P, ViT-T, 4 images of 32 px, bf16',
        'as the release, all in fp32',
        'load average',
    ):
        assert line in out


def test_a_failed_control_rejects_the_measurement(capsys, monkeypatch):
    monkeypatch.setattr(side_by_side, 'AA_TOLERANCE', -1.0)
    assert benchmark_step.main([*COMMAND, '--dtype', 'fp32']) == 3
    assert 'REJECTED' in capsys.readouterr().out


def test_other_losses_and_gradients_are_refused(monkeypatch):
    case = benchmark_step.S4PCase(**SMALL)
    ours, plain = case.ours(), case.plain()
    for param in plain.parameters():
        param.register_hook(lambda grad: 1.1 * grad)
    with pytest.raises(SystemExit, match='the gradients differ by'):
        benchmark_step.check_equal(case, ours, plain)
    with torch.no_grad():
        plain.decode_head.conv_seg.bias[0] += 5
    monkeypatch.setattr(case, 'ours', lambda: ours)
    monkeypatch.setattr(case, 'plain', lambda: plain)
    with pytest.raises(SystemExit, match='the losses differ: ours'):
        benchmark_step.check_on_gpu(case)


def test_prints_the_operators_of_our_step(capsys):
    assert benchmark_step.main([*COMMAND, '--profile', '--dtype', 'fp32']) == 0
    out = capsys.readouterr().out
    assert 'Self CPU' in out
    assert 'aten::_scaled_dot_product_flash_attention_for_cpu' in out
    assert ' operators' in out


@pytest.mark.parametrize('failing', [None, 2])
def test_the_table_of_a_gpu_outlives_what_fails(capsys, monkeypatch, failing):
    case = benchmark_step.S4PCase(**SMALL)
    calls = []

    def measured(step, steps):
        calls.append(steps)
        if len(calls) == failing:
            raise torch.cuda.OutOfMemoryError('out of memory\nand more')
        return gpu_figures.StepFigures(20.0, 30.0, 10**12, 1.5, 0.25)

    monkeypatch.setattr(step_on_gpu, 'matrix_peak', lambda: 500.0)
    monkeypatch.setattr(step_on_gpu, 'measure_step', measured)
    monkeypatch.setattr(step_on_gpu, 'time_feed', lambda case, steps: ([9.0], [0.5]))
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a card')
    assert step_on_gpu.compare_on_gpu(case, 7) == (failing is None)
    assert calls == [7, 7, 7]
    out = capsys.readouterr().out
    # 4 images in 20 ms; 1 TFLOP in 20 ms are 50 TFLOP/s.
    row = '20.0      30.0       200    1.00    10.0%    1.5  25.0%'
    assert out.count(row) == (3 if failing is None else 2)
    assert ('as the release       failed: out of memory\n' in out) == bool(failing)
    assert ('A/A control 1.000' in out) == (failing is None)
    assert 'median 9.0 ms, p99 9.0 ms; wait for the loader: median 0.50 ms' in out


def test_a_loader_of_files_feeds_the_step(monkeypatch):
    case = benchmark_step.S4PCase(**SMALL)
    seen = []
    fed = jpeg_feed.fed_times

    def short(batches, step, wait, steps):
        def watched(batch):
            step(batch)
            seen.append(sorted((k, len(v)) for k, v in batch['inputs'].items()))

        return fed(batches, watched, wait, steps, warmup=1)

    monkeypatch.setattr(jpeg_feed, 'fed_times', short)
    whole, waits = jpeg_feed.time_feed(case, steps=2, workers=0)
    assert seen == [[('sup', 2), ('unsup', 2), ('unsup_mix', 2)]] * 3
    assert len(whole) == len(waits) == 2
    assert all(0 < wait < total for wait, total in zip(waits, whole, strict=True))


def test_busy_time_is_that_of_the_union():
    assert gpu_figures.busy_time([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4
    assert gpu_figures.busy_time([]) == 0


def test_quantile_is_one_of_the_values():
    values = list(range(100, 0, -1))
    assert gpu_figures.quantile(values, 0.99) == 99
    assert gpu_figures.quantile(values, 0.0) == 1
    assert gpu_figures.quantile([3.0], 0.5) == 3.0
