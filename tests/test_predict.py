import numpy as np
import pytest
import torch

from leuko.models.autoencoder import PrccAutoencoder
from leuko.models.base import WbcNet
from leuko.models.plus import WbcPlusNet
from leuko.models.tissue import Cam16Net
from leuko.packs.reading import read_images
from leuko.training.predict import predict_pack

CPU = torch.device("cpu")


def tensor_of(pack, size, rows) -> torch.Tensor:
    return torch.from_numpy(read_images(pack, size)[rows]).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("name", ["base", "plus"])
def test_predictions_are_the_networks_own_probabilities(project, name):
    pack = project / "data/packs/wbc/train"
    # More images than are computed at once, in an order of their own.
    rows = np.random.default_rng(0).integers(0, len(read_images(pack, "wbc")), 37)
    torch.manual_seed(0)
    if name == "base":
        model = WbcNet(5).eval()
        inputs = (tensor_of(pack, "wbc", rows),)
    else:
        model = WbcPlusNet(PrccAutoencoder().encoder, Cam16Net(freeze=True), 5).eval()
        with torch.no_grad():
            encoded = model.encode(tensor_of(pack, "prcc", rows), tensor_of(pack, "cam16", rows))
        inputs = (tensor_of(pack, "wbc", rows), *encoded)
    with torch.no_grad():
        expected = model(*inputs).double().softmax(1).numpy()
    probabilities = predict_pack(model, project / "data/packs", "train", rows, CPU)
    assert probabilities.shape == (37, 5)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert np.ptp(probabilities, axis=0).max() > 1e-6
