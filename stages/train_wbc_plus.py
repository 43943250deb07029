"""Train WBC+: the base network plus the two frozen pre-trained networks, on the same labels."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_table
from leuko.core.params.families import SWITCHED_OFF
from leuko.core.params.reading import load_params
from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.store import left_out, load_weights, read_tensors, save_model
from leuko.models.tissue import Cam16Net
from leuko.training import distributed
from leuko.training.device import set_up
from leuko.training.plus import Settings, train_plus
from leuko.training.resume import leave_out, resumable

PACKS = Path("data/packs/wbc")
DOMAIN = Path("data/packs/cells/domain.safetensors")
PRCC = Path("models/prcc.safetensors")
CAM16 = Path("models/cam16.safetensors")
MODEL = Path("models/wbc_plus.safetensors")
HISTORY = Path("plots/history/wbc_plus.csv")


def main() -> None:
    """Write the classifier, with the frozen networks in it, and its history."""
    params = load_params(Settings)
    lacking = left_out(PRCC) or left_out(CAM16)
    if reason := lacking if params.families.published else SWITCHED_OFF:
        leave_out(reason, MODEL, HISTORY)
        return
    device = set_up(params.device, params.compute, params.seed)
    prcc, cam16 = PrccAutoencoder(), Cam16Net(freeze=True)
    load_weights(PRCC, prcc)
    load_weights(CAM16, cam16)
    inputs = [Path(__file__), PACKS / "train", PACKS / "val", PRCC, CAM16]
    with resumable("train_wbc_plus", params, device, inputs) as checkpoint:
        model, config, history = train_plus(params, prcc, cam16, PACKS, device, "plus", checkpoint)
        if distributed.is_rank_zero():
            save_model(MODEL, model, config, read_tensors(DOMAIN))
            write_table(HISTORY, history)


if __name__ == "__main__":
    run(main)
