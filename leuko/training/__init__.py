"""Training: one loop, what differs between the networks, and how their inputs are fetched."""
