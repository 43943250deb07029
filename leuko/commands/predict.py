"""Classify images with a trained model: a row of a table for each, whatever becomes of it.

The columns are path; actual, if labels are given; predicted; margin, by how much the likeliest class is ahead of the
second; unlike, "yes" for an image that is unlike those of the training, of which the probabilities say nothing; the
calibrated probability of every class; and error, which says why an image could not be read. Formats are JPEG, PNG,
BMP, TIFF, WebP and GIF (first frame), of any mode, depth and orientation.

Exits with 0 if all images were read, 1 if some were not, 2 if nothing could be done.
"""

import argparse
import sys

from leuko.core import errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko predict` takes."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGES_OR_FOLDERS",
        help="files; folders, with all below them; or - for a list of both on standard input, one on each line",
    )
    parser.add_argument(
        "--model",
        help="an arm, such as plus, or a model file (default: the setting model, or what there is)",
    )
    parser.add_argument("--out", default="predictions.csv", help="the table (default: predictions.csv; - to print it)")
    parser.add_argument(
        "--labels",
        metavar="TABLE",
        help="score at once: a table with the columns path and label, or the word folders where images lie in folders "
        "that are called after their classes",
    )
    parser.add_argument("--heatmaps", metavar="DIR", help="a new folder for pictures of where the model looks")
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="all images are of one other laboratory: how large nuclei are there is found first, among dozens at least",
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="(default: auto)")


def run(options: argparse.Namespace) -> None:
    """Classify images and leave with the exit code that says whether all could be read."""
    errors.run(lambda: _predict(options), code=2)


def _predict(options: argparse.Namespace) -> None:
    """Classify images, and exit with 1 if some could not be read."""
    from leuko.prediction.table import predict_to_table

    n_unread = predict_to_table(
        options.images,
        model=options.model,
        out=options.out,
        labels=options.labels,
        heatmaps=options.heatmaps,
        device=options.device,
        elsewhere=options.elsewhere,
    )
    sys.exit(1 if n_unread else 0)
