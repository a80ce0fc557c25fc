"""The loops of s5_mm."""
