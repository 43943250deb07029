"""Pre-training of an encoder on images without labels."""
