"""Train the control: the WBC+ network with frozen networks that were never trained, on the same labels.

What WBC+ gains over it is owed to pre-training; what it gains over base is owed to size alone.
"""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params.families import SWITCHED_OFF
from leuko.core.params.reading import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.store import read_tensors, save_model
from leuko.models.tissue import Cam16Net
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.plus import Settings, train_plus
from leuko.training.resume import leave_out, resumable

PACKS = Path("data/packs/wbc")
MODEL = Path("models/control.safetensors")
HISTORY = Path("plots/history/control.csv")
DOMAIN = Path("data/packs/cells/domain.safetensors")


def main() -> None:
    """Write the classifier, with the frozen networks in it, and its history."""
    params = load_params(Settings)
    if not params.families.published:
        leave_out(SWITCHED_OFF, MODEL, HISTORY)
        return
    device = set_up(params.device, params.compute, params.seed)
    prcc, cam16 = PrccAutoencoder(), Cam16Net(freeze=True)
    with resumable("train_control", params, device, [Path(__file__), PACKS / "train", PACKS / "val"]) as checkpoint:
        model, config, history = train_plus(params, prcc, cam16, PACKS, device, "control", checkpoint)
        if distributed.is_rank_zero():
            save_model(MODEL, model, config, read_tensors(DOMAIN))
            write_table(HISTORY, history)


if __name__ == "__main__":
    run(main)
