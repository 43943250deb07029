"""Packs: the images of one part of one set as arrays; how they are made and read."""
