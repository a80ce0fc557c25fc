# The paper's alpha = 1/2 (Table 3), which by its number of parameters is 2/3 of 768.
_base_ = ['./moe-mdf_vit-b.py']
model = dict(backbone=dict(part_features=512))
