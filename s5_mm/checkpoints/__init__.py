"""The checkpoints of s5_mm."""
