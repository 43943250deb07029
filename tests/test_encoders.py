"""Encoders by name, the weights that they start from, and the classifiers around them."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from leuko.core.errors import LeukoError
from leuko.models.build import build, load_model
from leuko.models.encoders import MultiTaskNet, TransferNet, build_encoder, load_encoder_weights
from leuko.models.store import save_model


def pooled(seed=0):
    torch.manual_seed(seed)
    return build_encoder("pooled", width=4, side=32)


def images(n=3, side=32):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def stirred(network, seed=3):
    """Other values in all tensors, batch norm's statistics too."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=rng) * 0.2 + 0.5)
    return network.eval()


def test_the_pooled_encoder_has_the_published_size_and_eight_times_its_width_as_features():
    encoder = build_encoder("pooled", width=24, side=64)
    assert encoder.n_features == 192
    assert encoder(images(2, 64)).shape == (2, 192)
    n_parameters = sum(p.numel() for p in encoder.parameters())
    # Stem, then for each block two convolutions and a shortcut; batch norm has two numbers for every channel.
    convolutions = 3 * 24 * 9 + sum(2 * w * w * 9 + 4 * w * w * 9 + 2 * w * w for w in (24, 48, 96))
    norms = 2 * 24 + sum(3 * 2 * 2 * w for w in (24, 48, 96))
    assert n_parameters == convolutions + norms


@pytest.mark.parametrize(("name", "n_features"), [("resnet18", 512), ("mobilenet_v3_small", 1024)])
def test_torchvisions_classifiers_lose_their_last_layer(name, n_features):
    encoder = build_encoder(name, width=4, side=64)
    assert encoder.n_features == n_features
    assert encoder.training
    assert encoder.eval()(images(2, 64)).shape == (2, n_features)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "did you mean resnet18"),
        ("squeezenet1_1", "does not end in a linear layer"),
        ("vit_b_16", "takes no images of 32 x 32"),
    ],
)
def test_networks_that_cannot_be_used_are_refused_with_the_reason(name, message):
    with pytest.raises(LeukoError, match=message):
        build_encoder(name, width=4, side=32)


def wrap_plainly(tensors):
    return tensors


def wrap_as_lightning(tensors):
    return {"epoch": 3, "state_dict": {f"module.encoder.{name}": t for name, t in tensors.items()}}


def wrap_beside_a_head(tensors):
    return {"model": {**tensors, "fc.weight": torch.zeros(7, 3)}, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}


@pytest.mark.parametrize("wrap", [wrap_plainly, wrap_as_lightning, wrap_beside_a_head])
def test_weights_are_found_wherever_a_training_has_wrapped_them(tmp_path, wrap):
    source, encoder = stirred(pooled()), pooled(seed=5).eval()
    torch.save(wrap(source.state_dict()), tmp_path / "weights.pth")
    load_encoder_weights(encoder, "pooled", str(tmp_path / "weights.pth"))
    torch.testing.assert_close(encoder(images()), source(images()), rtol=0, atol=0)


def test_torchvisions_layout_is_loaded_from_safetensors_without_counts_of_batches(tmp_path):
    from torchvision.models import resnet18

    source = stirred(resnet18())
    tensors = {name: t for name, t in source.state_dict().items() if "num_batches_tracked" not in name}
    save_file(tensors, tmp_path / "weights.safetensors")
    encoder = build_encoder("resnet18", width=4, side=32)
    load_encoder_weights(encoder, "resnet18", str(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(encoder.state_dict()["backbone.layer4.1.conv2.weight"], tensors["layer4.1.conv2.weight"])


def test_a_model_file_of_this_project_is_a_start_too(tmp_path):
    source = TransferNet(stirred(pooled()), n_classes=3)
    save_model(tmp_path / "transfer.safetensors", source, {"network": "transfer"})
    encoder = pooled(seed=5).eval()
    load_encoder_weights(encoder, "pooled", str(tmp_path / "transfer.safetensors"))
    torch.testing.assert_close(encoder(images()), source.encoder.eval()(images()))


def test_weights_of_another_network_twice_or_not_finite_are_refused(tmp_path):
    encoder = pooled()
    tensors = encoder.state_dict()
    cases = {
        "holds the tensors of pooled not": {name: t for name, t in tensors.items() if "blocks.1" not in name},
        "several times, as first., second.: keep one": {"second": dict(tensors), "first": dict(tensors)},
        "does not fit pooled": {name: t[:1] if "conv1" in name else t for name, t in tensors.items()},
        "not finite": {name: t * float("nan") if "conv1" in name else t for name, t in tensors.items()},
    }
    before = {name: t.clone() for name, t in tensors.items()}
    for message, content in cases.items():
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(LeukoError, match=message):
            load_encoder_weights(encoder, "pooled", str(tmp_path / "weights.pth"))
    with pytest.raises(LeukoError, match="is not there"):
        load_encoder_weights(encoder, "pooled", str(tmp_path / "missing.pth"))
    with pytest.raises(LeukoError, match="no ImageNet weights"):
        load_encoder_weights(encoder, "pooled", "imagenet")
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())


def test_a_file_that_holds_itself_is_read_all_the_same(tmp_path):
    encoder = pooled(seed=5)
    content = {"weights": pooled().state_dict()}
    content["self"] = content
    torch.save(content, tmp_path / "weights.pth")
    load_encoder_weights(encoder, "pooled", str(tmp_path / "weights.pth"))
    assert torch.equal(encoder.state_dict()["stem.0.weight"], pooled().state_dict()["stem.0.weight"])


def test_python_objects_in_a_file_are_never_loaded(tmp_path):
    torch.save({"state_dict": pooled().state_dict(), "args": nn.Linear(1, 1)}, tmp_path / "weights.pth")
    with pytest.raises(LeukoError, match="never loaded"):
        load_encoder_weights(pooled(), "pooled", str(tmp_path / "weights.pth"))


def test_imagenet_weights_that_cannot_be_had_leave_three_ways_out(tmp_path, monkeypatch):
    from torchvision.models import ResNet18_Weights

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", None)
    url = ResNet18_Weights.DEFAULT.url
    with pytest.raises(LeukoError, match="Three ways out") as caught:
        load_encoder_weights(build_encoder("resnet18", width=4, side=32), "resnet18", "imagenet")
    assert url in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_classifier_is_built_again_from_its_file(tmp_path):
    model = TransferNet(stirred(pooled()), n_classes=3).eval()
    config = {"network": "transfer", "encoder": "pooled", "width": 4, "side": 32, "classes": ["a", "b", "c"]}
    save_model(tmp_path / "model.safetensors", model, config)
    again, found = load_model(tmp_path / "model.safetensors")
    assert found == config
    torch.testing.assert_close(again(images()), model(images()), rtol=0, atol=0)


def test_an_absurdly_large_encoder_is_refused():
    with pytest.raises(LeukoError, match="cannot be used"):
        build({"network": "encoder", "encoder": "pooled", "width": 100_000, "side": 32})


def test_multi_task_training_changes_the_classifier_that_is_kept():
    classifier = TransferNet(pooled(), n_classes=2)
    both = MultiTaskNet(classifier, n_descriptors=5)
    assert both(images()).shape == (3, 7)
    torch.testing.assert_close(both.eval()(images())[:, :2], classifier.eval()(images()))
    before = classifier.encoder.state_dict()["stem.0.weight"].clone()
    optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
    both.train()(images())[:, 2:].square().mean().backward()
    optimizer.step()
    assert not torch.equal(before, classifier.encoder.state_dict()["stem.0.weight"])
