"""Errors that a user can mend, and how a stage reports them."""

from __future__ import annotations

import sys
from collections.abc import Callable


class LeukoError(Exception):
    """Something outside the code is wrong; the message says what, where, and how to mend it."""


def run(main: Callable[[], None]) -> None:
    """Run a stage; on a `LeukoError` print its message alone, without a traceback, and exit with 1.

    Args:
        main: the stage.
    """
    try:
        main()
    except LeukoError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped from the keyboard.")
