# The paper's alpha = 1/8 (Table 3), which by its number of parameters is 1/6 of 768.
_base_ = ['./moe-mdf_vit-b.py']
model = dict(backbone=dict(part_features=128))
