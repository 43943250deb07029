"""What the trained networks are worth: scores, and how two of them compare."""
