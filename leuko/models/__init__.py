"""The networks of the study, layer by layer, and how they are kept."""
