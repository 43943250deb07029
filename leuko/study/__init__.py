"""The study: every split trained with several seeds, and what comes of it.

A cell of the study is one split with one seed: one `dvc exp run`, which trains all arms of the families that are on and
lets `evaluate` score them. Arms are therefore no axis of the grid.

| module | does |
|---|---|
| `cells` | what a cell is, the folder it is kept in, and how one knows what it was made with |
| `clone` | runs cells with DVC, in a clone of the workspace |
| `summary` | scores and gains over all cells |

`leuko.commands.study` is the command line.
"""
