"""What a haematologist looks at: nucleus and cell outlined by colour, and named measurements of both."""
