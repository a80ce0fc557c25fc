"""The segmentors of s5_mm."""
