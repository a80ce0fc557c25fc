"""The layers of s5_mm."""
