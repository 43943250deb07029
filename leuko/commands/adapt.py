"""Bring a model to another laboratory: with about five labelled cells of every class, or dozens without labels."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko adapt` takes."""
    parser.add_argument("model", help="an arm, such as morphology, or a model file")
    parser.add_argument(
        "folder", type=Path, nargs="?", help="labelled cells of the other laboratory: a folder for every class"
    )
    parser.add_argument("--unlabelled", type=Path, metavar="FOLDER", help="further images of that laboratory")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the new model, a .safetensors file; one that is there is replaced",
    )
    parser.add_argument(
        "--class",
        dest="synonyms",
        action="append",
        default=[],
        metavar="FOLDER=CLASS",
        help="which class a folder is of, where its name does not tell",
    )


def run(options: argparse.Namespace) -> None:
    """Write the new model and, with labels, say how well it tells cells that it did not learn from.

    Raises:
        LeukoError: with all that is wrong.
    """
    from leuko.core.errors import LeukoError
    from leuko.prediction.adapting import adapt_model
    from leuko.prediction.choosing import choose_model

    if options.out.suffix != ".safetensors":
        raise LeukoError(f"--out {options.out}: the new model is a .safetensors file")
    if wrong := [pair for pair in options.synonyms if "=" not in pair]:
        raise LeukoError(f"--class {', '.join(wrong)}: say FOLDER=CLASS")
    synonyms = dict(pair.split("=", 1) for pair in options.synonyms)
    adapted, unseen = adapt_model(
        choose_model(options.model), options.folder, options.out, synonyms=synonyms, unlabelled=options.unlabelled
    )
    if adapted.accuracy:
        chosen = "measured from the laboratory's own median" if adapted.aligned else "measured as at home"
        right = adapted.accuracy[adapted.aligned]
        print(f"The labelled cells, left out by turns, are classified correctly in {right:.0%}.")
        print(f"Features are {chosen}, with which these cells are likelier. So few cells tell this roughly only.")
        if unseen:
            print(f"No labelled cell of {', '.join(unseen)}: known from home alone, as it looks there.")
    else:
        print("Features are measured from the laboratory's own median. How well that works, only labels tell.")
    print(f"Written: {options.out}")
