"""The loops of s5_mm."""

from .resumable_iter_loop import ResumableIterLoop
from .student_teacher_loops import StudentTeacherTestLoop, StudentTeacherValLoop

__all__ = ['ResumableIterLoop', 'StudentTeacherTestLoop', 'StudentTeacherValLoop']
