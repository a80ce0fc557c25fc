"""Data sets of oriented boxes, on mmdet; segmentation never imports them.

What to know of the hosts' transforms behind them (mmdet 3.5, mmrotate 1.2):

* ``s5_mm.LoadImage`` gives RGB and ``mmdet.LoadImageFromFile`` BGR, so behind ours the
  preprocessor has ``bgr_to_rgb=False``.
* ``ConvertBoxType`` from ``qbox`` to ``rbox`` is ``cv2.minAreaRect`` in fp32: angles in
  (0, pi/2], either side the longer one.  ``regularize_boxes('le90')``, which the box
  coders call, makes the width the longer side and the angle one of [-pi/2, pi/2).
* For boxes to judge predictions by, ``mmdet.LoadAnnotations`` comes after
  ``mmdet.Resize``, so that they stay in the coordinates of the file.
* ``mmdet.PackDetInputs`` forgets ``dataset_name``, ``source`` and ``sample_key`` unless
  its ``meta_keys`` name them.
* ``mmdet.FilterAnnotations`` returns None where no box is left;
  :class:`s5_mm.MultiSourceDataset` then draws another image.
"""

from .dota_text import DotaTextDataset, read_dota_text
from .voc_xml import VocXmlDataset, read_voc_xml

__all__ = ['DotaTextDataset', 'VocXmlDataset', 'read_dota_text', 'read_voc_xml']
