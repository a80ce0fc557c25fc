"""Lay grids of crops over the images of collections and list them as a plan."""
