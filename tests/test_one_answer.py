"""One image through `leuko predict`, Python, the page and ONNX: one answer, however it was saved."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from leuko import load_model
from leuko.models.store import save_model
from leuko.prediction.table import predict_to_table
from tests.course import WBC, content
from tests.drawn_masks import cell
from tests.models import draw_classifier
from tests.pictures import laid

pytest.importorskip("onnxruntime")
pytest.importorskip("starlette")

import onnxruntime
from starlette.testclient import TestClient

from leuko.app.server import create_app
from leuko.prediction.export import draw_cells, export_onnx

HOME = "http://127.0.0.1:8378"


def saved() -> dict[str, bytes]:
    """One cell in all eight of EXIF's orientations, and in every mode, by the names of the files."""
    image = cell(3, side=80)[0].crop((0, 0, 80, 70))
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying = Image.fromarray(np.ascontiguousarray(laid(np.asarray(image), orientation)))
        body = io.BytesIO()
        lying.save(body, "PNG", exif=exif)
        files[f"lying{orientation}.png"] = body.getvalue()
    grey = image.convert("L")
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) * 257).astype(np.uint16))
    transparent = image.convert("RGBA")
    transparent.putalpha(grey.point(lambda value: 255 if value > 90 else 40))
    return files | {
        "grey.png": content(grey, "PNG"),
        "palette.png": content(image.quantize(64), "PNG"),
        "rgba.png": content(transparent, "PNG"),
        "cmyk.tif": content(image.convert("CMYK"), "TIFF"),
        "cmyk.jpg": content(image.convert("CMYK"), "JPEG"),
        "deep.png": content(deep, "PNG"),
    }


@pytest.mark.slow
def test_one_image_has_one_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, config = draw_classifier("wbc")
    save_model(tmp_path / "model.safetensors", network, config | {"scales": {"PNG uint16": [0.0, 65535.0]}})
    files = saved()
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    model = load_model("model.safetensors")
    from_python = model.predict(list(files))
    predict_to_table(list(files), model="model.safetensors")
    with (tmp_path / "predictions.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    page = TestClient(create_app(model, "model", 8378), base_url=HOME)
    export_onnx(tmp_path / "model.safetensors", tmp_path / "model.onnx", draw_cells(7))
    session = onnxruntime.InferenceSession("model.onnx")

    assert [row["path"] for row in rows] == list(files)
    for row, (name, body), expected, label in zip(
        rows, files.items(), from_python.probabilities, from_python.labels, strict=True
    ):
        shown = page.post("/predict", content=body).json()
        assert row["predicted"] == shown["predicted"] == label, name
        np.testing.assert_allclose([float(row[name]) for name in WBC], expected, atol=1e-6, err_msg=name)
        np.testing.assert_allclose([shown["probabilities"][name] for name in WBC], expected, atol=1e-6, err_msg=name)
        pixels = model.preparation(body)["wbc"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        (logits,) = session.run(None, {"wbc": pixels})
        exported = softmax(logits[0] / config["temperature"])
        assert WBC[int(exported.argmax())] == label, name
        np.testing.assert_allclose(exported, expected, atol=1e-4, err_msg=name)
    lying = from_python.probabilities[:8]
    np.testing.assert_allclose(lying, lying[:1].repeat(8, axis=0), atol=1e-6)
    assert np.ptp(from_python.probabilities, axis=0).max() > 1e-3  # what the modes change is seen
