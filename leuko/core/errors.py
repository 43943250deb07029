"""Errors that a user can fix, and how a stage reports them."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable

OUTPUTS = ("data/", "metrics/", "models/", "plots/", "reports/")
"""Where stages write."""


class LeukoError(Exception):
    """Something outside the code is wrong; the message says what, where, and how to fix it."""


def run(main: Callable[[], None], code: int = 1) -> None:
    """Run a stage; on an error that a user can fix print its message alone, without a traceback, and exit.

    Args:
        main: the stage.
        code: what to exit with then.
    """
    try:
        main()
        return
    except LeukoError as error:
        message = str(error)
    except BrokenPipeError:
        # Python would try once more to print the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        message = "Stopped, as nobody reads any longer what is printed."
    except OSError as error:
        message = _explain(error)
    except (MemoryError, RuntimeError) as error:
        if not _lacks_memory(error):
            raise
        why = (str(error).splitlines() or ["it ran out"])[0]
        message = (
            f"There is not enough memory ({why}). Set a smaller batch_size, smaller images (augment) or fewer "
            f"threads (compute), then type {repro()}."
        )
    except KeyboardInterrupt:
        message = "Stopped from the keyboard."
    if code == 1:
        sys.exit(f"\n{message}")  # which prints it
    print(f"\n{message}", file=sys.stderr)
    sys.exit(code)


def repro() -> str:
    """What to type so that DVC makes what is missing and runs the present stage; of other programs, all stages."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    package, _, stage = (spec.name if spec else "").rpartition(".")
    if package != "stages":
        return "dvc repro"
    return f"dvc repro {'@'.join([stage, *sys.argv[1:2]])}"


def _lacks_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory ran out, of the computer or of a GPU, for which PyTorch has errors of its own."""
    return isinstance(error, MemoryError) or bool(re.search(r"out of memory|can't allocate memory", str(error)))


def _explain(error: OSError) -> str:
    """Say what the system refused, and how to go on."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOENT and str(error.filename).startswith(OUTPUTS):
        return f"{where}it is not there, as the stage that makes it has not run. Type {repro()}, which runs that first."
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hint = "Make room"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = "Let it be read and written"
        case _:
            hint = "Fix that"
    return f"{where}{error.strerror or error}. {hint}, then run the same command again."
