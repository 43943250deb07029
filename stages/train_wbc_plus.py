"""Train WBC+: the base network plus the two frozen pre-trained networks, on the same labels."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.build import load_model
from leuko.models.store import save_model
from leuko.models.tissue import Cam16Net
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.plus import train_plus
from leuko.training.resume import resumable

PACKS = Path("data/packs/wbc")
PRCC = Path("models/prcc.safetensors")
CAM16 = Path("models/cam16.safetensors")


def main() -> None:
    """Write the classifier, with the frozen networks in it, and its history."""
    params = load_params()
    device = set_up(params.device, params.compute, params.seed)
    prcc, _ = load_model(PRCC)
    cam16, _ = load_model(CAM16)
    assert isinstance(prcc, PrccAutoencoder)
    assert isinstance(cam16, Cam16Net)
    inputs = [Path(__file__), PACKS / "train", PACKS / "val", PRCC, CAM16]
    with resumable("train_wbc_plus", params, device, inputs) as checkpoint:
        model, config, history = train_plus(params, prcc, cam16, PACKS, device, "plus", checkpoint)
        if distributed.is_rank_zero():
            save_model(Path("models/wbc_plus.safetensors"), model, config)
            write_table(Path("plots/history/wbc_plus.csv"), history)


if __name__ == "__main__":
    run(main)
