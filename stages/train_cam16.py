"""Pre-train the tissue classifier, normal against tumor."""

from pathlib import Path

import torch
from torch import Tensor, nn

from leuko.core.classes import TISSUE_CLASSES
from leuko.core.errors import run
from leuko.core.files import write_json, write_table
from leuko.core.params.augment import Augment
from leuko.core.params.cam16 import Cam16
from leuko.core.params.compute import Compute
from leuko.core.params.families import SWITCHED_OFF, Families
from leuko.core.params.group import Device, Group
from leuko.core.params.reading import load_params
from leuko.models.store import save_model
from leuko.models.tissue import Cam16Net, load_backbone
from leuko.packs.reading import read_rows
from leuko.training import distributed
from leuko.training.device import set_up, to_device
from leuko.training.inputs import FeatureCache, FrozenEncoder, Inputs
from leuko.training.loop import fit, validate
from leuko.training.parts import images_of, labels_of, select_rows
from leuko.training.resume import leave_out, resumable
from leuko.training.tasks import Classification, Part

PACKS = Path("data/packs/cam16")
MODEL = Path("models/cam16.safetensors")
HISTORY = Path("plots/history/cam16.csv")
SCORES = Path("metrics/cam16.json")


class Settings(Group):
    """The settings that this stage reads."""

    device: Device
    families: Families
    compute: Compute
    augment: Augment
    cam16: Cam16


def read_part(name: str, model: Cam16Net, device: torch.device) -> Part:
    """The images of one part or, where the ResNet is frozen, what it makes of them, computed once."""
    rows, table = select_rows(PACKS / name)
    images = images_of(PACKS / name, "cam16", rows, device)

    def features(pixels: Tensor) -> tuple[Tensor]:
        return (model.backbone_features(pixels),)

    inputs: Inputs = FeatureCache(FrozenEncoder(features, images), n_orientations=1) if model.freeze else images
    return Part(inputs, labels_of(table, TISSUE_CLASSES, device), len(rows))


def main() -> None:
    """Write the classifier, its history and its scores on the test images."""
    params = load_params(Settings)
    lacking = "" if len(read_rows(PACKS / "train")) else "there are no CAM16 images"
    if reason := lacking if params.families.published else SWITCHED_OFF:
        leave_out(reason, MODEL, HISTORY)
        write_json(SCORES, {})
        return
    device = set_up(params.device, params.compute, params.cam16.seed)
    model = Cam16Net(freeze=params.cam16.freeze, n_classes=len(TISSUE_CLASSES))
    load_backbone(model.backbone, params.cam16.weights)
    to_device(model, device).train()
    train, val, test = (read_part(name, model, device) for name in ("train", "val", "test"))
    # Only what is trained: a frozen ResNet has had its say in the inputs.
    trained = nn.Sequential(model.bottleneck, model.head) if model.freeze else model
    task = Classification(trained, train, val, recipe=params.cam16, compute=params.compute)
    weights = Path(params.cam16.weights)
    inputs = [Path(__file__), PACKS, *([weights] if weights.is_file() else [])]
    with resumable("train_cam16", params, device, inputs) as checkpoint:
        history = fit(task, params.cam16, seed=params.cam16.seed, title="CAM16", checkpoint=checkpoint)
        scores = validate(task, test)
        if distributed.is_rank_zero():
            config = {
                "network": "cam16",
                "classes": TISSUE_CLASSES,
                "freeze": model.freeze,
                "size": params.augment.cam16_size,
                "recipe": params.cam16.model_dump(),
            }
            save_model(MODEL, model, config)
            write_table(HISTORY, history)
            write_json(SCORES, scores)


if __name__ == "__main__":
    run(main)
