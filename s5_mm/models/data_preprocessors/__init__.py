"""The data preprocessors of s5_mm."""
