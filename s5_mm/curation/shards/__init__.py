"""Write the pixels of selected crops into tar shards, and verify them."""
