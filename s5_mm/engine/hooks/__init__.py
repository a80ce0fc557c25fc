"""The hooks of s5_mm."""
