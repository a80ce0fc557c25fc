"""Names in the directory of a curation run: stages, files, decisions and policies."""

from __future__ import annotations

STAGES = (
    'plan',
    'scan',
    'cluster',
    'score',
    'select',
    'check',
    'materialize',
    'report',
    'verify',
)
"""The stages of a run, in order; each has a folder of its name."""

# In the directory of the run.
LOCK_FILE = 'run.lock'
MANIFEST_FILE = 'manifest.parquet'
RUN_FILE = 'run.json'
STAGES_FILE = 'stages.json'
SHARDS_FOLDER = 'shards'

# In the folder of every stage, or of the one that is named.
STAGE_FILE = 'stage.json'
SOURCES_FILE = 'sources.parquet'
"""Table of the source images, of ``plan``."""
PROTOTYPES_FILE = 'prototypes.npz'
"""Prototypes of the clusters, of ``cluster``."""
QUOTAS_FILE = 'quotas.json'
"""Quotas of the clusters and how far they are filled, of ``select`` and ``check``."""
MATCHES_FILE = 'matches.parquet'
DUPLICATES_FILE = 'duplicates.parquet'
MATCHES_ROUND = 'matches-{:03d}.parquet'
DUPLICATES_ROUND = 'duplicates-{:03d}.parquet'
BENCHMARKS_FOLDER = 'benchmarks'
BENCHMARK_CODES_FILE = 'benchmarks.npz'
SPOOL_FOLDER = 'spool'

# In the folder of the shards.
INDEX_FILE = 'index.parquet'

SELECTED = 'selected'
UNSELECTED = 'unselected'
REJECTED = 'rejected'
DROPPED = 'dropped'
DECISIONS = (SELECTED, UNSELECTED, REJECTED, DROPPED)
"""What becomes of a crop: chosen; above the cut of its cluster; stopped by the quality
gate; chosen but for its overlap with a benchmark or with another crop."""

QUOTA_POLICIES = ('redistribute', 'best', 'leave', 'error')
"""What happens when a cluster runs dry: its rest goes to the others by their quotas, to
the lowest entropies wherever they are, to nobody, or stops the run."""

LEAKAGE_POLICIES = ('drop', 'flag', 'keep')
"""What becomes of a crop that overlaps a benchmark."""
