"""Select crops by entropy under quotas per cluster (Eq. 2-3)."""
