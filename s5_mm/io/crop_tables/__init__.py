"""Read and write the tables of a curation run: manifest, crops, shards."""
