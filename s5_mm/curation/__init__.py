"""Curation: which unlabelled patches are worth training on (Eq. 1-3, Figure 2)."""
