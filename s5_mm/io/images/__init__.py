"""Read images, windows of images and class maps from any supported file."""
