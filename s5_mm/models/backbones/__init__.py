"""The backbones of s5_mm."""
