"""The local page: what it says of images, what it refuses, that nothing stays; and how it does in a browser."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuko import load_model
from leuko.cli import _run_command as run_command
from leuko.core.errors import LeukoError
from tests.browser import CHROMIUM, Browser
from tests.conftest import REPOSITORY
from tests.course import WBC, content, noise
from tests.drawn_masks import cell
from tests.models import write_model

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from starlette.testclient import TestClient

from leuko.app import server

HOME = "http://127.0.0.1:8378"


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), "wbc", own=[cell(seed)[0] for seed in range(100, 250)])


@pytest.fixture(scope="module")
def model(path):
    return load_model(path)


@pytest.fixture
def page(model) -> TestClient:
    return TestClient(server.create_app(model, "wbc.safetensors", 8378), base_url=HOME)


def png(image: Image.Image) -> bytes:
    return content(image, "PNG")


def test_the_page_loads_nothing_from_elsewhere(page):
    answer = page.get("/")
    assert answer.status_code == 200
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)\w+:|//[\w.]+\.\w+/", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    nonce = re.search(r"'nonce-([^']+)'", policy).group(1)
    assert answer.text.count(f'nonce="{nonce}"') == 2
    assert page.get("/").headers["content-security-policy"] != policy
    assert all(name in answer.text for name in WBC)


def test_an_image_gets_what_predict_says(page, model):
    for image in (cell(1)[0], noise(0, 64, 64)):
        answer = page.post("/predict", content=png(image)).json()
        expected = model.predict(image)
        assert answer["predicted"] == expected.labels[0]
        assert list(answer["probabilities"]) == list(WBC)
        np.testing.assert_allclose([*answer["probabilities"].values()], expected.probabilities[0], atol=1e-6)
        assert answer["margin"] == pytest.approx(expected.margins[0], abs=1e-6)
        assert answer["unlike"] == bool(expected.unlike[0])
        assert answer["picture"].startswith("data:image/png;base64,")
        assert page.post("/map", content=png(image)).json()["picture"].startswith("data:image/png;base64,")
    assert answer["unlike"]


def test_what_cannot_be_used_is_a_sentence(page, monkeypatch):
    huge = png(Image.new("1", (1, 1)))
    huge = huge[:16] + (10**6).to_bytes(4) * 2 + huge[24:]
    for body in (b"only text", b"", huge, content(cell(0)[0])[:200]):
        for path in ("/predict", "/map"):
            answer = page.post(path, content=body)
            assert answer.status_code == 422
            assert re.fullmatch(r"This file cannot be read: .+\.", answer.json()["error"])
    monkeypatch.setattr(server, "MAX_MEGABYTES", 0.001)
    for body in (bytes(1001), iter([bytes(600)] * 2)):  # with a length in the header, and without
        answer = page.post("/predict", content=body)
        assert (answer.status_code, "larger than 0.001 MB" in answer.json()["error"]) == (413, True)


def test_images_that_come_too_fast_are_asked_to_come_again(model, monkeypatch):
    monkeypatch.setattr(server, "MAX_REQUESTS", 0)
    page = TestClient(server.create_app(model, "wbc", 8378), base_url=HOME)
    assert page.post("/predict", content=b"").status_code == 503


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8378"}, 200),
        ({"origin": HOME, "sec-fetch-site": "same-origin"}, 200),
        ({"host": "leuko.example:8378"}, 403),
        ({"host": "127.0.0.1"}, 403),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_other_hosts_and_pages_are_refused(page, headers, status):
    assert page.post("/predict", content=png(cell(0)[0]), headers=headers).status_code == status
    if "sec-fetch-site" not in headers:
        assert page.get("/", headers=headers).status_code == status


def test_nothing_stays_on_disk(page, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    large = png(noise(0, 900, 900))
    assert len(large) > 2**20  # what libraries like to put into temporary files
    assert page.post("/predict", content=large).status_code == 200
    assert page.post("/map", content=large).status_code == 200
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_a_model_of_measurements_has_no_map(tmp_path):
    model = load_model(write_model(tmp_path, "morphology"))
    page = TestClient(server.create_app(model, "morphology", 8378), base_url=HOME)
    assert page.post("/predict", content=png(cell(1)[0])).json()["unlike"] is None
    assert page.post("/map", content=png(cell(1)[0])).status_code == 404
    assert "DRAWS_MAPS = false" in page.get("/").text


def test_a_port_that_is_taken_is_said_so(path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LeukoError, match=f"port {port} cannot be used"):
            run_command(["app", "--model", str(path), "--port", str(port)])


@pytest.fixture
def served(path):
    """The page as `leuko app` serves it."""
    command = [sys.executable, "-u", "-m", "leuko", "app", "--model", str(path), "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://[\d.:]+", process.stdout.readline()).group() + "/"
        finally:
            process.terminate()


@pytest.mark.slow
# No package index has a browser; what the page sends and gets is tested above without one.
@pytest.mark.skipif(not CHROMIUM, reason="chromium, which drives the page, is no Python package and is not installed")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_in_a_browser(served, model, tmp_path, width, height):
    files = [tmp_path / f"cell {number}.png" for number in range(9)] + [tmp_path / "noise.png"]
    for number, file in enumerate(files[:-1]):
        cell(number)[0].save(file)
    noise(0, 64, 64).save(files[-1])
    bad = {"broken.jpg": content(cell(0)[0])[:200], "huge.tif": b"", "notes.txt": b"only text"}
    for name, body in bad.items():
        (tmp_path / name).write_bytes(body)
    os.truncate(tmp_path / "huge.tif", server.MAX_MEGABYTES * 10**6 + 1)
    with Browser(tmp_path / "profile") as browser:
        browser.open(served, width, height)
        browser.choose("#files", [*files, *(tmp_path / name for name in bad)])
        browser.wait(
            "document.querySelectorAll('#results > li').length === 13 && !document.querySelector('#save').hidden"
        )
        assert browser.run("document.querySelector('#status').textContent") == "13 images, 3 of them could not be read"
        errors = browser.run("[...document.querySelectorAll('li .error')].map((line) => line.textContent)")
        assert [words.split(":")[0] for words in errors] == [
            "This file cannot be read",
            f"The file is larger than {server.MAX_MEGABYTES} MB, which is the limit here.",
            "This file cannot be read",
        ]
        shown = browser.run("[...document.querySelectorAll('tr.likeliest th')].map((cell) => cell.textContent)")
        assert shown == model.predict(files).labels
        assert browser.run("[...document.querySelectorAll('li:has(.unlike) h2')].map((head) => head.textContent)") == [
            "noise.png"
        ]
        browser.wait("document.querySelectorAll('figure').length === 20")  # each with its map
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        # The table, as it would be saved.
        browser.run(
            "window.saved = new Promise((done) => { URL.createObjectURL = (blob) => { blob.text().then(done); "
            "return 'data:,'; }; }); HTMLAnchorElement.prototype.click = () => {};"
        )
        browser.run("document.querySelector('#save').click()")
        lines = browser.run("window.saved").splitlines()
        assert lines[0] == ",".join(["path", "predicted", "margin", "unlike", *WBC, "error"])
        assert len(lines) == 14
        if folder := os.environ.get("SCREENSHOTS"):  # to be looked at
            browser.screenshot(Path(folder) / f"{width}.png")
        browser.run("document.querySelector('#clear').click()")
        assert browser.run("document.querySelectorAll('#results > li').length") == 0
        assert browser.run("document.activeElement.id") == "files"  # for those who use the keyboard
        browser.choose("#files", files[:1])
        browser.wait("document.querySelectorAll('#results > li').length === 1")
