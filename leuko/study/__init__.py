"""The study: every split trained with several seeds, and what comes of it.

A cell of the study is one split with one seed: one `dvc exp run`, which trains all arms of the families that are on and
lets `evaluate` score them. Arms are therefore no axis of the grid.

| module | does |
|---|---|
| `cells` | what a cell is, the folder it is kept in, and how one knows what it was made with |
| `experiments` | the workspace's repository: what cells start from, and what they end as |
| `clone` | the clones of the workspace in which DVC runs |
| `job` | a run as a process of its own |
| `runners` | where jobs run: here one after the other, or on a Dask cluster |
| `schedule` | which cell runs when |
| `summary` | scores and gains over all cells |

`leuko.commands.study` is the command line.
"""
