"""The transforms of s5_mm."""
