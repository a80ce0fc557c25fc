"""Data sets of oriented boxes, on mmdet; segmentation never imports them."""

from .dota_text import DotaTextDataset, read_dota_text
from .voc_xml import VocXmlDataset, read_voc_xml

__all__ = ['DotaTextDataset', 'VocXmlDataset', 'read_dota_text', 'read_voc_xml']
