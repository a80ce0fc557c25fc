#!/usr/bin/env bash
# torch 2.13.0 (2.15.0 alike)
# Behaviour: SGD(..., momentum=0.9, fused=True) under a GradScaler: if the first step
#     overflows and is skipped, the momentum buffer stays uninitialised memory, and the
#     next step adds 0.9 times that memory to its gradient.
# Seen: weights of 1, lr 0.1, an infinite loss and then a gradient of 1: 0.9 without
#     fused. With fused the buffer exists after the skipped step; the weights end at
#     NaN where torch fills uninitialised memory with NaN (deterministic algorithms),
#     and else at whatever was in memory (-3.4e14 was seen).
# Why it surprises: a step that the scaler skips should change nothing, its start at a
#     scale of 65,536 makes an overflow in the first step normal, fused reads as the
#     same step done faster, and where the memory holds zeros all looks well.
# Instead: leave fused off for SGD under a GradScaler, or give every parameter a
#     momentum buffer of zeros before the first step.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import torch

# Uninitialised memory is filled with NaN, so the outcome does not depend on chance.
torch.use_deterministic_algorithms(True)


def train(fused, zeros=False):
    weight = torch.nn.Parameter(torch.ones(100))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, fused=fused)
    if zeros:
        optimizer.state[weight]['momentum_buffer'] = torch.zeros(100)
    scaler = torch.amp.GradScaler('cpu')
    buffers = []
    for factor in (float('inf'), 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        buffer = optimizer.state[weight].get('momentum_buffer')
        buffers.append(None if buffer is None else round(float(buffer[0]), 3))
    return buffers, round(float(weight.detach()[0]), 3)


plain, fused, mended = train(False), train(True), train(True, zeros=True)
for name, (buffers, weight) in {
    'not fused': plain, 'fused': fused, 'fused, buffer of zeros': mended
}.items():
    print(f'{name}: buffer after each step {buffers}, weight {weight}')
if plain != ([None, 1], 0.9) or mended != ([0, 1], 0.9) or fused[1] == fused[1]:
    sys.exit('changed: a skipped first step leaves the momentum as it should')
PY
