#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.13.0)
# Behaviour: the parameters of a ViTModel have other names in memory than in the file
#     that save_pretrained writes; from_pretrained translates between them.
# Seen: one layer, 24 tensors: 8 names in common. layers.0.attention.q_proj.weight in
#     memory is encoder.layer.0.attention.attention.query.weight in the file;
#     load_state_dict(load_file(...), strict=False) loads 8 of 24 tensors.
# Why it surprises: save_pretrained reads as writing the state_dict as it is; code that
#     loads model.safetensors itself, or converts checkpoints by name, keeps random
#     weights in two thirds of the model, without an error where strict=False.
# Instead: load with from_pretrained and convert from the state_dict() of that model,
#     not from the file.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q \
    torch==2.13.0 \
    numpy==2.4.6 \
    safetensors==0.8.0 \
    transformers==5.24.0
export HF_HUB_OFFLINE=1
cd "$tmp"
venv/bin/python - <<'PY'
import sys

import torch
from safetensors.torch import load_file
from transformers import ViTConfig, ViTModel

config = ViTConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=32, image_size=32, patch_size=16,
)
torch.manual_seed(0)
model = ViTModel(config)
model.save_pretrained('saved')
memory, file = model.state_dict(), load_file('saved/model.safetensors')
common = memory.keys() & file.keys()
print(f'{len(memory)} in memory, {len(file)} in the file, {len(common)} in common')
print('memory:', [n for n in memory if n.endswith('.weight')][1:4])
print('file:  ', [n for n in file if n.endswith('.weight')][1:4])

report = ViTModel(config).load_state_dict(file, strict=False)
print('strict=False: not loaded', len(report.missing_keys))
again = ViTModel.from_pretrained('saved').state_dict()
same = all(torch.equal(memory[n], again[n]) for n in memory)
print('from_pretrained restores every tensor:', same)
if (len(memory), len(common), len(report.missing_keys)) != (24, 8, 16) or not same:
    sys.exit('changed: names in memory and in the file')
PY
