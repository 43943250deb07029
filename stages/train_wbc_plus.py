"""Train WBC+: the base network plus the two frozen pre-trained networks, on the same labels."""

from pathlib import Path

from leuko.data.classes import CLASSES
from leuko.errors import run
from leuko.files import write_table
from leuko.models.build import load_model
from leuko.models.cam16 import Cam16Net
from leuko.models.prcc import PrccAutoencoder
from leuko.models.store import save_model
from leuko.models.wbc_plus import WbcPlusNet
from leuko.params import load_params
from leuko.runtime import set_up
from leuko.training.loop import fit, n_steps_per_epoch
from leuko.training.parts import images_of, labels_of, select_rows
from leuko.training.sources import N_VIEWS, Frozen, Joined, banked
from leuko.training.tasks import Classification, Part

PACKS = Path("data/packs/wbc")


def main() -> None:
    """Write the classifier, with the frozen networks in it, and its history."""
    params = load_params()
    recipe = params.wbc_plus
    device = set_up(params.device, params.seed)
    prcc, _ = load_model(Path("models/prcc.safetensors"))
    cam16, _ = load_model(Path("models/cam16.safetensors"))
    assert isinstance(prcc, PrccAutoencoder)
    assert isinstance(cam16, Cam16Net)
    model = WbcPlusNet(prcc.encoder, cam16, len(CLASSES["wbc"])).to(device).eval()

    turn = recipe.augment == "d4"
    parts = []
    for name, split in (("train", params.split), ("val", None)):
        rows, table = select_rows(PACKS / name, split)
        frozen = Frozen(model.encode, *(images_of(PACKS / name, size, rows, device) for size in ("prcc", "cam16")))
        n_views = N_VIEWS if turn and name == "train" else 1
        n_seen = n_steps_per_epoch(recipe, len(rows)) * recipe.batch_size if name == "train" else len(rows)
        outputs = banked(frozen, n_views=n_views, n_uses=n_seen * recipe.epochs, bank_gb=recipe.bank_gb)
        inputs = Joined(images_of(PACKS / name, "wbc", rows, device), outputs)
        parts.append(Part(inputs, labels_of(table, "wbc", device), len(rows)))
    task = Classification(model, *parts, turn=turn)
    history = fit(task, recipe, seed=params.seed, title="WBC+")
    config = {
        "network": "wbc_plus",
        "classes": CLASSES["wbc"],
        "size": params.augment.wbc_size,
        "prcc_size": params.augment.prcc_size,
        "cam16_size": params.augment.cam16_size,
        "split": params.split,
        "seed": params.seed,
        "recipe": recipe.model_dump(),
    }
    save_model(Path("models/wbc_plus.safetensors"), model, config)
    write_table(Path("plots/history/wbc_plus.csv"), history)


if __name__ == "__main__":
    run(main)
