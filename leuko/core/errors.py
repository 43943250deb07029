"""Errors that a user can fix, and how a stage reports them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable


class LeukoError(Exception):
    """Something outside the code is wrong; the message says what, where, and how to fix it."""


def run(main: Callable[[], None]) -> None:
    """Run a stage; on an error that a user can fix print its message alone, without a traceback, and exit with 1.

    Args:
        main: the stage.
    """
    try:
        main()
    except LeukoError as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        sys.exit(f"\n{_explain(error)}")
    except KeyboardInterrupt:
        sys.exit("\nStopped from the keyboard.")


def _explain(error: OSError) -> str:
    """Say what the system refused, and how to go on."""
    where = f"{error.filename}: " if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hint = "Make room"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = "Let it be read and written"
        case _:
            hint = "Fix that"
    return f"{where}{error.strerror or error}. {hint}, then run the same command again."
