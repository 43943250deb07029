"""Programs that measure what the project claims; each is run as `python -m bench.<name>`."""
