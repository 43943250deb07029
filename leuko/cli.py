"""The command `leuko` and its subcommands.

Only the module of the subcommand that was asked for is imported, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from leuko.core.errors import run
from leuko.core.processor import configure_libraries

COMMANDS = {
    "adapt": "bring a model to another laboratory with about five labelled cells of every class",
    "app": "open a page on this computer to classify images",
    "check": "report all that is wrong with a folder of images",
    "export": "write a trained model as one ONNX file",
    "import": "turn the images that you have into the layout that Leuko reads",
    "predict": "classify images with a trained model",
    "report": "write the report of a study again",
    "study": "run every split with several seeds, and summarise",
}
"""What each module of `leuko.commands` does. Its docstring is what its own help says."""


def main() -> None:
    """Run the subcommand that the command line names."""
    configure_libraries()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    run(lambda: _run_command(sys.argv[1:]))


def _run_command(arguments: Sequence[str]) -> None:
    """Run a subcommand.

    Args:
        arguments: its name and what it takes.
    """
    parser = argparse.ArgumentParser(
        "leuko", description="Does pre-training on other medical images help a network tell white blood cells apart?"
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name in arguments[:1]:
            module = importlib.import_module(f"leuko.commands.{name}")
            module.add_arguments(command)
            command.description = module.__doc__
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    options.run(options)
