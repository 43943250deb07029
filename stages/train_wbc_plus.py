"""Train WBC+: the base network plus the two frozen pre-trained networks, on the same labels."""

from pathlib import Path

from leuko.errors import run
from leuko.files import write_table
from leuko.models.build import load_model
from leuko.models.cam16 import Cam16Net
from leuko.models.prcc import PrccAutoencoder
from leuko.models.store import save_model
from leuko.params import load_params
from leuko.runtime import set_up
from leuko.training.plus import train_plus


def main() -> None:
    """Write the classifier, with the frozen networks in it, and its history."""
    params = load_params()
    device = set_up(params.device, params.seed)
    prcc, _ = load_model(Path("models/prcc.safetensors"))
    cam16, _ = load_model(Path("models/cam16.safetensors"))
    assert isinstance(prcc, PrccAutoencoder)
    assert isinstance(cam16, Cam16Net)
    model, config, history = train_plus(params, prcc, cam16, Path("data/packs/wbc"), device, "WBC+")
    save_model(Path("models/wbc_plus.safetensors"), model, config)
    write_table(Path("plots/history/wbc_plus.csv"), history)


if __name__ == "__main__":
    run(main)
