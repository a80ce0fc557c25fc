"""The datasets of s5_mm."""
