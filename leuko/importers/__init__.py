"""From what people have, in whatever layout, to the course layout that Leuko reads; a file per kind of source."""
