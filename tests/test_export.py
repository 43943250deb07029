"""`leuko export`: the ONNX file says what PyTorch says, and is not written where it does not."""

import json
import re

import numpy as np
import pytest

from leuko import load_model
from leuko.cli import _run_command as run_command
from leuko.core.errors import LeukoError
from leuko.prediction import export
from leuko.prediction.export import draw_cells, export_onnx
from tests.conftest import REPOSITORY
from tests.course import WBC
from tests.drawn_masks import cell
from tests.models import draw_classifier, write_model

pytest.importorskip("onnxruntime")
EXAMPLE = next(
    block
    for block in re.findall(
        r"```python\n(.*?)```", (REPOSITORY / "docs/predicting.md").read_text(encoding="utf-8"), re.S
    )
    if "onnxruntime" in block
)


@pytest.mark.slow
def test_the_example_of_the_documentation_says_what_predict_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_model(tmp_path, "wbc_plus")  # the arm with the most inputs
    cell(3, side=90)[0].save("cell.jpg")
    run_command(["export", str(path), "--out", "model.onnx", "--images", "cell.jpg"])
    words = capsys.readouterr().out
    assert "opset 18" in words
    assert "Pillow alone" not in words
    exec(compile(EXAMPLE, "docs/predicting.md", "exec"), {})
    found = json.loads(capsys.readouterr().out.replace("'", '"'))
    expected = load_model(path).predict("cell.jpg").probabilities[0]
    np.testing.assert_allclose([found[label] for label in WBC], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "inputs"), [("transfer", ["cell"]), ("morphology", ["descriptors"])])
def test_a_model_of_measured_cells_is_exported_and_says_what_it_needs(kind, inputs, tmp_path, capsys):
    import onnxruntime

    path = write_model(tmp_path, kind)
    run_command(["export", str(path)])
    assert f"This model takes {' and '.join(inputs)}" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path.with_suffix(".onnx")))
    about = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert about["inputs"] == inputs == [entry.name for entry in session.get_inputs()]
    assert (about["classes"], about["temperature"]) == (list(WBC), 1.5)
    model = load_model(path)
    images = draw_cells(5)  # a number that the export has not tried
    feed = zip(inputs, model.tensors([model.preparation(image) for image in images]), strict=True)
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in feed})
    scores = np.exp(logits / about["temperature"])
    expected = model.predict(images).probabilities
    np.testing.assert_allclose(scores / scores.sum(axis=1, keepdims=True), expected, atol=1e-4)


@pytest.mark.slow
def test_a_file_that_says_something_else_is_not_written(tmp_path, monkeypatch):
    path = write_model(tmp_path, "morphology")
    other, config = draw_classifier("morphology")
    other.weights.mul_(1.1)
    monkeypatch.setattr(export, "load_classifier", lambda _: (other, config))  # as a faulty conversion would
    with pytest.raises(LeukoError, match=r"probabilities differ by 0\.\d+, more than 0\.0001; nothing was written"):
        export_onnx(path, tmp_path / "model.onnx", draw_cells(2))
    assert not (tmp_path / "model.onnx").exists()
