"""`leuko export`: a model as one ONNX file, which other programs run without this one, and without PyTorch."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from leuko.core.errors import LeukoError
from leuko.core.files import atomic_file, check_file_place
from leuko.data.images import UnreadableImageError
from leuko.demo.blood import CLASSES, draw_cell
from leuko.demo.canvas import Stain
from leuko.demo.dataset import SMEAR_LIGHT
from leuko.models.build import load_classifier
from leuko.models.classifier import Classifier
from leuko.prediction.model import Model, Prepared, load_model
from leuko.prediction.preparing import ImageLike

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 18
BATCHES = (1, 2, 7)
"""The numbers of images at once with which an exported model is tried."""
TOLERANCE = 1e-4
"""How far its probabilities may be from PyTorch's."""
N_TIMED = 20
MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""What is taken off red, green and blue, and what they are divided by, after they were brought to 0 to 1: nothing, as
networks normalise on their own. Other programs look for these numbers."""
INSTALL = "pip install 'leuko[export]'"

Arrays = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Exported:
    """An exported model that has been tried.

    Attributes:
        inputs: the names of its inputs.
        stain: how images must be shown, as the setting has it.
        n_bytes: the sizes of the files, PyTorch's and the exported one.
        difference: the largest difference of a probability.
        milliseconds: the median times for one image, PyTorch's and that of the exported one.
    """

    inputs: tuple[str, ...]
    stain: str
    n_bytes: tuple[int, int]
    difference: float
    milliseconds: tuple[float, float]

    @property
    def measured(self) -> tuple[str, ...]:
        """The inputs that other programs cannot make by resizing, as cells must be found and measured for them."""
        return tuple(name for name in self.inputs if name in ("cell", "descriptors"))


class _Logits(nn.Module):
    """A classifier as a network whose forward pass classifies images that nothing has been encoded of yet."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, *arrays: Tensor) -> Tensor:
        """As `Classifier.classify`."""
        return self.classifier.classify(*arrays)


def export_onnx(path: Path, out: Path, images: Sequence[ImageLike]) -> Exported:
    """Write a model as ONNX, if it gives the same probabilities there.

    The graph takes what the packs hold, as float32: for each input an array (image, 3, side, side), values 0 to 1, or
    descriptors (image, descriptor); it gives `logits`, shape (image, class). Reading and resizing stay outside, since
    exporters have got antialiased resizing wrong. All that is needed besides stands in the file's metadata, as JSON:
    `classes`, `inputs`, `sides`, `side` (of the first input), `mean`, `std`, `stain` (in which images must be shown
    before they are resized, if it is not `none`) and `temperature`, by which logits are divided before the softmax.

    Args:
        path: the model file.
        out: where the ONNX file shall be.
        images: at least one, to try it with; seven different ones at best.

    Returns:
        How it did.

    Raises:
        LeukoError: if the model or an image cannot be read, or the model not converted, the packages for it are
            missing, nothing can be written there, or any probability differs by more than TOLERANCE in batches of
            1, 2 or 7; then nothing is written.
    """
    check_file_place(out, "--out")
    if out.absolute() == path.absolute():
        raise LeukoError(f"--out {out}: that is the model itself; name another file")
    ort = _runtime()
    model = load_model(path)
    prepared = [_prepared(model, image) for image in images]
    inputs = tuple(tensor.contiguous() for tensor in model.tensors(_repeated(prepared, max(BATCHES))))
    try:
        content = _convert(load_classifier(path)[0], model, inputs)
    except torch.onnx.OnnxExporterError as error:
        raise LeukoError(f"{path}: PyTorch cannot write this network as ONNX ({error})") from error
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = max(_difference(model, session, tuple(tensor[:n] for tensor in inputs)) for n in BATCHES)
    if not difference <= TOLERANCE:
        words = f"its probabilities differ by {difference:.2g}, more than {TOLERANCE:g}"
        raise LeukoError(f"{path}: as ONNX {words}; nothing was written")
    with atomic_file(out) as temporary:
        temporary.write_bytes(content)
    one = tuple(tensor[:1] for tensor in inputs)
    feed = _feed(session, one)
    with torch.no_grad():
        ours = _milliseconds(lambda: model.network.classify(*one))
    theirs = _milliseconds(lambda: session.run(None, feed))
    preparation = model.preparation
    n_bytes = path.stat().st_size, out.stat().st_size
    return Exported(preparation.inputs, preparation.staining.kind, n_bytes, difference, (ours, theirs))


def _runtime() -> ModuleType:
    """Import what runs ONNX files.

    Raises:
        LeukoError: if something that export needs is not installed.
    """
    try:
        _, _, runtime = map(import_module, ("onnx", "onnxscript", "onnxruntime"))
    except ImportError as error:
        raise LeukoError(f"{error.name} is not installed, which export needs: {INSTALL}") from error
    return runtime


def _prepared(model: Model, image: ImageLike) -> Prepared:
    """Prepare an image.

    Raises:
        LeukoError: if it cannot be read.
    """
    try:
        return model.preparation(image)
    except UnreadableImageError as error:
        raise LeukoError(f"{image!s}: {error}") from error


def _repeated(prepared: Sequence[Prepared], least: int) -> list[Prepared]:
    """At least so many images, the first ones again where there are too few."""
    return [prepared[number % len(prepared)] for number in range(max(least, len(prepared)))]


def _convert(network: Classifier, model: Model, inputs: tuple[Tensor, ...]) -> bytes:
    """Make the content of an ONNX file."""
    batch = torch.export.Dim("batch", min=1, max=65536)
    # The exporter reports its steps on the terminal, and that its own parts are deprecated.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Logits(network).eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(network.inputs),
            output_names=["logits"],
            dynamic_shapes=(tuple({0: batch} for _ in inputs),),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for key, value in _metadata(model).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _metadata(model: Model) -> dict[str, Any]:
    """What a program needs to know to use the file, by key."""
    preparation = model.preparation
    return {
        "classes": list(model.classes),
        "inputs": list(preparation.inputs),
        "sides": dict(preparation.sides),
        "side": next(iter(preparation.sides.values()), None),
        "mean": MEAN,
        "std": STD,
        "stain": preparation.staining.kind,
        "temperature": model.config["temperature"],
    }


def _feed(session: InferenceSession, inputs: tuple[Tensor, ...]) -> Mapping[str, NDArray[np.float32]]:
    """Inputs as onnxruntime takes them: by their names."""
    return {entry.name: tensor.numpy() for entry, tensor in zip(session.get_inputs(), inputs, strict=True)}


def _difference(model: Model, session: InferenceSession, inputs: tuple[Tensor, ...]) -> float:
    """The largest difference of a calibrated probability between PyTorch and an ONNX session."""
    with torch.no_grad():
        expected = model.network.classify(*inputs).double().numpy()
    (found,) = session.run(None, _feed(session, inputs))
    temperature = model.config["temperature"]
    both = [softmax(logits.astype(np.float64) / temperature, axis=1) for logits in (expected, found)]
    return float(np.abs(both[0] - both[1]).max())


def _milliseconds(work: Callable[[], object]) -> float:
    """The median time of some work, after one turn that is not counted."""
    work()
    times = []
    for _ in range(N_TIMED):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def draw_cells(number: int) -> list[ImageLike]:
    """Cells to try a model with where nobody gives any: drawn, class after class, each on a slide of its own."""
    rng = np.random.default_rng(0)
    return [draw_cell(CLASSES[n % len(CLASSES)], Stain.random(rng, SMEAR_LIGHT), rng)[0] for n in range(number)]
