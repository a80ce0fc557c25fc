"""The evaluation of s5_mm."""
