"""Data sets of oriented boxes, on mmdet; files of annotations are read without it.

What to know of the hosts' transforms behind them (mmdet 3.5, mmrotate 1.2):

* ``s5_mm.LoadImage`` gives RGB and ``mmdet.LoadImageFromFile`` BGR, so behind ours the
  preprocessor has ``bgr_to_rgb=False``.
* ``ConvertBoxType`` from ``qbox`` to ``rbox`` is ``cv2.minAreaRect`` in fp32: either
  side is the longer one, and angles are in [0, pi/2] with OpenCV 4 (4.12: -0.0 too) and
  in [-pi/2, 0) with OpenCV 5.  ``regularize_boxes('le90')``, which the box coders call,
  makes the width the longer side and the angle one of [-pi/2, pi/2) with both.
* For boxes to judge predictions by, ``mmdet.LoadAnnotations`` comes after
  ``mmdet.Resize``, so that they stay in the coordinates of the file.
* ``mmdet.PackDetInputs`` forgets ``dataset_name``, ``source`` and ``sample_key`` unless
  its ``meta_keys`` name them.
* ``mmdet.FilterAnnotations`` returns None where no box is left;
  :class:`s5_mm.MultiSourceDataset` then draws another image.
"""

from s5_mm.utils.lazy import lazy_exports

from .annotations import AnnotationError
from .dota_lines import DotaLine, read_dota_lines

__getattr__, __dir__, LATE = lazy_exports(
    __name__,
    {
        'dota_text': ['DotaTextDataset', 'read_dota_text'],
        'voc_xml': ['VocXmlDataset', 'read_voc_xml'],
    },
)

__all__ = ['AnnotationError', 'DotaLine', 'read_dota_lines']
