# ruff: noqa: N999  (a command is called what its module is, and nothing has to import this one by a statement)
"""Bring your data: import what you have into the layout that Leuko reads.

The source stays as it is. Files become hard links where that is possible and copies elsewhere (--copy makes copies
always); the new folder is written whole or not at all. Then set data_root in params.yaml to it. Every kind has a help
of its own that says what it reads.
"""

from leuko.importers.command import add_arguments, run

__all__ = ["add_arguments", "run"]
