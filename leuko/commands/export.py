"""Write a trained model as one ONNX file (opset 18), for programs without PyTorch.

The file is tried with onnxruntime on images in batches of 1, 2 and 7, and written only if all probabilities are within
0.0001 of PyTorch's. What a program needs besides stands in its metadata: classes, side, mean, std, stain and
temperature. docs/predicting.md has the lines that classify an image with it. This needs: pip install 'leuko[export]'
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `leuko export` takes."""
    parser.add_argument(
        "model", nargs="?", help="an arm, such as plus, or a model file (default: the setting model, or what there is)"
    )
    parser.add_argument("--out", type=Path, help="where to (default: the model file's name, ending in .onnx)")
    parser.add_argument(
        "--images", nargs="+", metavar="IMAGES_OR_FOLDERS", help="to try it with (default: drawn cells)"
    )


def run(options: argparse.Namespace) -> None:
    """Write the model, and say how it compares.

    Raises:
        LeukoError: if that cannot be done, or the exported model says something else.
    """
    from leuko.core.errors import LeukoError
    from leuko.prediction.choosing import choose_model
    from leuko.prediction.export import BATCHES, OPSET, TOLERANCE, draw_cells, export_onnx
    from leuko.prediction.finding import find_images

    path = choose_model(options.model)
    out = options.out or path.with_suffix(".onnx")
    images = find_images(options.images)[: max(BATCHES)] if options.images else draw_cells(max(BATCHES))
    if not images:
        raise LeukoError(f"There are no images in {', '.join(options.images)}.")
    exported = export_onnx(path, out, images)
    sizes = [n_bytes / 1e6 for n_bytes in exported.n_bytes]
    batches = ", ".join(map(str, BATCHES))
    print(
        f"{out}: ONNX, opset {OPSET}\n"
        f"    size, MB       {sizes[1]:8.2f}    PyTorch's {sizes[0]:8.2f}\n"
        f"    one image, ms  {exported.milliseconds[1]:8.2f}    PyTorch's {exported.milliseconds[0]:8.2f}\n"
        f"    probabilities differ by at most {exported.difference:.1g} on {len(images)} images "
        f"in batches of {batches}; more than {TOLERANCE:g} would be refused"
    )
    if exported.measured:
        print(
            f"    This model takes {' and '.join(exported.measured)}: a program that runs it must find and measure the "
            "cell as Leuko does (leuko.prediction.preparing.Preparation); Pillow alone is not enough"
        )
    if exported.stain != "none":
        print(
            f"    This model takes images in a reference stain (stain: {exported.stain}): a program that runs it must "
            "first change their colours as Leuko does (leuko.morphology.staining.Staining)"
        )
