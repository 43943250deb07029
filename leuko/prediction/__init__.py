"""Trained classifiers at work on any images: from files or memory to classes, probabilities and a warning."""
