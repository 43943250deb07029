"""Pre-train the autoencoder on unlabelled kidney tumour tissue."""

from pathlib import Path

import torch
from torch import nn

from leuko.core.errors import run
from leuko.core.files import write_json, write_table
from leuko.core.image_grid import image_grid
from leuko.core.params.augment import Augment
from leuko.core.params.compute import Compute
from leuko.core.params.evaluate import Evaluate
from leuko.core.params.families import SWITCHED_OFF, Families
from leuko.core.params.group import Device, Group
from leuko.core.params.prcc import Prcc
from leuko.core.params.reading import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.store import save_model
from leuko.packs.reading import read_rows
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.loop import fit, validate
from leuko.training.parts import images_of, select_rows
from leuko.training.resume import leave_out, resumable
from leuko.training.tasks import Part, Reconstruction

PACKS = Path("data/packs/prcc")
MODEL = Path("models/prcc.safetensors")
HISTORY = Path("plots/history/prcc.csv")
SCORES = Path("metrics/prcc.json")
RECONSTRUCTIONS = Path("plots/reconstructions.png")


class Settings(Group):
    """The settings that this stage reads."""

    device: Device
    families: Families
    compute: Compute
    augment: Augment
    prcc: Prcc
    evaluate: Evaluate


def read_part(name: str, device: torch.device) -> Part:
    """The images of one part; there are no labels."""
    rows, _ = select_rows(PACKS / name)
    return Part(images_of(PACKS / name, "prcc", rows, device), torch.empty(0), len(rows))


class OfRange255(Reconstruction):
    """The same aim, measured as in the study."""

    data_range = 255.0


@torch.no_grad()
def draw_reconstructions(model: nn.Module, test: Part, n_images: int, device: torch.device) -> None:
    """Draw the first test images, and what the autoencoder makes of them."""
    originals, *_ = test.inputs(torch.arange(min(n_images, test.n_images), device=device), None)
    pairs = {"original": originals, "reconstructed": model(originals)}
    rows = [
        (caption, [("", image) for image in (255 * images).round().byte().permute(0, 2, 3, 1).cpu().numpy()])
        for caption, images in pairs.items()
    ]
    image_grid(RECONSTRUCTIONS, rows)


def main() -> None:
    """Write the autoencoder, its history, its score on the test images and a picture of what it reconstructs."""
    params = load_params(Settings)
    lacking = "" if len(read_rows(PACKS / "train")) else "there are no pRCC images"
    if reason := lacking if params.families.published else SWITCHED_OFF:
        leave_out(reason, MODEL, HISTORY)
        write_json(SCORES, {})
        image_grid(RECONSTRUCTIONS, [])
        return
    device = set_up(params.device, params.compute, params.prcc.seed)
    train, val, test = (read_part(name, device) for name in ("train", "val", "test"))
    task = Reconstruction(PrccAutoencoder().to(device), train, val, compute=params.compute)
    with resumable("train_prcc", params, device, [Path(__file__), PACKS]) as checkpoint:
        history = fit(task, params.prcc, seed=params.prcc.seed, title="pRCC", checkpoint=checkpoint)
        # The study called SSIM with its default range of 255 on values up to 1: kept, by its name, to compare with.
        scores = {
            "one_minus_ssim": validate(task, test)["loss"],
            "one_minus_ssim_data_range_255": validate(OfRange255(task.model, train, val), test)["loss"],
        }
        if distributed.is_rank_zero():
            config = {"network": "prcc", "size": params.augment.prcc_size, "recipe": params.prcc.model_dump()}
            save_model(MODEL, task.model, config)
            write_table(HISTORY, history)
            write_json(SCORES, scores)
            draw_reconstructions(task.model, test, params.evaluate.examples, device)


if __name__ == "__main__":
    run(main)
