"""What the commands under tools/ and data_curation/ share: config, refusals, screen."""
