"""faiss, or the line that installs it."""

try:
    import faiss
except ImportError as error:
    raise ImportError(
        'curation searches and clusters with faiss, which is not installed: '
        "pip install 's5_mm[curation]'"
    ) from error

__all__ = ['faiss']
