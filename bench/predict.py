"""`leuko predict` against a plain loop: open an image with Pillow, resize it, classify it, one after the other.

Both write a table with the same columns of classes and probabilities. Then the memory of `leuko predict` with few and
with many images.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.images import write_course
from bench.measure import Contender, Work, is_quick, median_ratio, race, show
from leuko.models.base import WbcNet
from leuko.models.build import load_classifier
from leuko.models.foreign import PICTURES, fit_domain
from leuko.models.store import save_model
from leuko.morphology.packing import describe_pictures

ROOT = Path(__file__).parents[1]
CLASSES = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")


def make_model(path: Path, side: int, images: list[Path]) -> None:
    """Write a model file of the base network with random weights, large ones in the end, so that answers differ.

    It knows what these images are like.
    """
    torch.manual_seed(0)
    network = WbcNet(len(CLASSES)).eval()
    with torch.no_grad():
        [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1].weight.mul_(100)
    config = {
        "model": "wbc",
        "network": "wbc",
        "classes": list(CLASSES),
        "scales": {},
        "temperature": 1.5,
        "split": 100,
        "seed": 0,
        "size": side,
    }
    statistics = describe_pictures(images, {}, "looking at images")
    save_model(path, network, config, fit_domain(statistics, statistics[:0]).tensors(PICTURES))


def predict(model: Path, images: list[Path], out: Path) -> Work:
    """As `leuko predict` does it."""
    from leuko.prediction.table import predict_to_table

    def work() -> None:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            predict_to_table([str(image) for image in images], model=str(model), out=str(out), device="cpu")

    return work


def plain_loop(model: Path, images: list[Path], out: Path) -> Work:
    """One image after the other, with Pillow and PyTorch as they are."""
    network, config = load_classifier(model)
    side, temperature = config["size"], config["temperature"]

    def work() -> None:
        with out.open("w", newline="") as file, torch.no_grad():
            table = csv.writer(file)
            table.writerow(["path", "predicted", *CLASSES])
            for path in images:
                pixels = np.asarray(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
                tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
                values = (network.classify(tensor) / temperature).softmax(1)[0].tolist()
                table.writerow([path, CLASSES[int(np.argmax(values))], *values])

    return work


def main() -> None:
    """Measure."""
    quick = is_quick(__doc__ or "")
    n_images, rounds, many = (8, 1, 16) if quick else (300, 5, 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_course(folder / "course", side=360, cells=n_images, others=1)
        images = sorted((folder / "course").rglob("WBC_100/**/data/**/*.jpg"))[:n_images]
        rows: list[list[str | float]] = []
        for side in (64, 128):
            model = folder / f"model{side}.safetensors"
            make_model(model, side, images)
            tables = [folder / f"{who}{side}.csv" for who in ("ours", "plain")]
            contenders = {
                who: Contender(prepare, (model, images, table))
                for who, prepare, table in zip(("ours", "plain"), (predict, plain_loop), tables, strict=True)
            }
            seconds = race(contenders, rounds)
            ratios = [slow / fast for slow, fast in zip(seconds["plain"], seconds["ours"], strict=True)]
            ours, plain = (_predicted(table) for table in tables)
            rate = [f"{len(images) / np.median(seconds[who]):.0f}" for who in contenders]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            equal = "yes" if ours == plain else "no"
            rows.append([f"{side} px", *rate, median_ratio(seconds["plain"], seconds["ours"]), spread, equal])
        show(
            [
                "images of 360 px, network at",
                "ours, images/s",
                "plain, images/s",
                "ratio",
                "its range",
                "equal classes",
            ],
            rows,
        )
        listed = folder / "many"
        listed.mkdir()
        for number in range(many):
            os.link(images[number % len(images)], listed / f"{number}.jpg")
        model = folder / "model64.safetensors"
        peaks: list[list[str | float]] = [[f"{count}", _peak(model, listed, count)] for count in (many // 10, many)]
    show(["images", "peak memory of leuko predict, GB"], peaks)


def _predicted(table: Path) -> list[str]:
    """The classes in a table of predictions."""
    with table.open(newline="") as file:
        return [row["predicted"] for row in csv.DictReader(file)]


def _peak(model: Path, folder: Path, count: int) -> float:
    """The largest resident memory of `leuko predict` over some of a folder's images, in GB."""
    paths = "\n".join(str(path) for path in sorted(folder.iterdir())[:count])
    command = [sys.executable, "-m", "leuko", "predict", "-", "--model", str(model), "--out", str(folder / "out.csv")]
    command += ["--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, env=environment, text=True
    ) as run:
        assert run.stdin is not None
        run.stdin.write(paths)
        run.stdin.close()
        peak = 0.0
        while run.poll() is None:
            status = Path(f"/proc/{run.pid}/status").read_text()
            peak = max(
                [peak, *(int(line.split()[1]) / 1e6 for line in status.splitlines() if line.startswith("VmHWM"))]
            )
            time.sleep(0.02)
    if run.returncode:
        raise SystemExit("leuko predict failed")
    return peak


if __name__ == "__main__":
    main()
