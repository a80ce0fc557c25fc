"""Segmentors with a head of any losses, plain and wrapped."""

from ..toys import toy_segmentor

K, SIZE = 4, 24
CE = 'mmseg.CrossEntropyLoss'


def segmentor_of(norm='none', auxiliary=False, **head):
    config = toy_segmentor(norm, K, auxiliary)
    for key, value in head.items():  # ``update`` would merge
        config.decode_head[key] = value
    return config
