import datetime

import pytest
import yaml

from leuko.core.errors import LeukoError
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from tests.conftest import REPOSITORY, run_stage, tiny_settings, write_settings

COMPLETE = [REPOSITORY / "params.yaml", *sorted((REPOSITORY / "presets").glob("*.yaml"))]


def refusal(tmp_path, content) -> str:
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(LeukoError) as caught:
        load_params(Params, path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", COMPLETE, ids=lambda path: path.name)
def test_the_repositorys_settings_load(path):
    params = load_params(Params, path)
    assert params.model_dump(mode="json", exclude_unset=True) == yaml.safe_load(path.read_text())


def test_settings_cannot_be_changed_after_loading(tmp_path):
    params = load_params(Params, write_settings(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        params.split = 1
    with pytest.raises(ValueError, match="frozen"):
        params.wbc.lr = 1.0


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("splits", "split"),
        ("wbc.epoch", "epochs"),
        ("wbc_plus.cache_mb", "cache_gb"),
        ("ingest.val_fracton", "val_frac"),
    ],
)
def test_an_unknown_key_is_refused_and_a_near_one_suggested(tmp_path, key, near):
    message = refusal(tmp_path, tiny_settings(**{key: 1}))
    (line,) = message.splitlines()[1:]
    assert f"{key}: unknown key" in line
    assert f"did you mean `{near}" in line


def test_an_unknown_key_unlike_any_other_lists_the_known_ones(tmp_path):
    (line,) = refusal(tmp_path, tiny_settings(**{"evaluate.zzz": 1})).splitlines()[1:]
    assert "evaluate.zzz: unknown key" in line
    assert "examples" in line


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("split", 7, "1, 10, 50 or 100"),
        ("model", "both", "'plus'"),
        ("device", "gpu", "'auto', 'cpu', 'cuda' or 'mps'"),
        ("wbc.epochs", "abc", "integer"),
        ("wbc.epochs", 0, "greater than or equal to 1"),
        ("wbc.epochs", 2.5, "integer"),
        ("wbc.lr", -1, "greater than 0"),
        ("wbc.lr", float("nan"), "finite"),
        ("ingest.val_fraction", 1.0, "less than 1"),
        ("augment.wbc_size", 50, "multiple of 16"),
        ("augment.balance", "perhaps", "boolean"),
        ("prepare_masks.fill", [0, 0, 0, 0], "at most 3"),
        ("prcc.optimizer", "lion", "'adam', 'adamw' or 'sgd'"),
        ("demo", 3, "dictionary"),
        ("data_root", "", "at least 1"),
        ("wbc.epochs", True, "true or false"),
        ("wbc.lr", True, "true or false"),
        ("split", True, "true or false"),
        ("wbc.epochs", 10**9, "less than or equal to 1000000"),
        ("prcc.min_steps", 10**30, "less than or equal to 1000000"),
        ("cam16.weights", "imagenett", "imagenet, none or the path of a .pth, .pt or .safetensors file; did you mean"),
        ("cam16.weights", "models", "imagenet, none or the path"),
        ("data_root", datetime.date(2024, 1, 1), "string"),
        ("ingest.duplicates", "remove", "'warn', 'drop' or 'fail'"),
    ],
)
def test_a_bad_value_is_refused_with_key_value_and_what_is_allowed(tmp_path, key, value, allowed):
    (line,) = refusal(tmp_path, tiny_settings(**{key: value})).splitlines()[1:]
    assert f" {key}: {value!r} is not allowed" in line
    assert allowed in line


def test_a_channel_of_the_colour_is_named_by_its_place(tmp_path):
    (line,) = refusal(tmp_path, tiny_settings(**{"prepare_masks.fill": [0, 256, 0]})).splitlines()[1:]
    assert "prepare_masks.fill.1: 256 is not allowed" in line
    assert "255" in line


@pytest.mark.parametrize("key", ["seed", "wbc.lr", "evaluate"])
def test_a_missing_key_is_named(tmp_path, key):
    content = tiny_settings()
    *groups, name = key.split(".")
    group = content
    for part in groups:
        group = group[part]
    del group[name]
    (line,) = refusal(tmp_path, content).splitlines()[1:]
    assert f"{key}: missing" in line
    assert "presets/" in line


def test_all_problems_are_listed_at_once(tmp_path):
    content = tiny_settings(**{"split": 7, "modell": "base", "wbc.epochs": "abc", "cam16.clip": "yes"})
    del content["model"], content["prcc"]["seed"]
    named = [line.strip().split(":")[0] for line in refusal(tmp_path, content).splitlines()[1:]]
    assert sorted(named) == sorted(["split", "modell", "wbc.epochs", "cam16.clip", "model", "prcc.seed"])


def test_parts_that_leave_nothing_to_train_on_are_refused_with_both_settings(tmp_path):
    changes = {"ingest.prcc_val_fraction": 0.6, "ingest.prcc_test_fraction": 0.4}
    (line,) = refusal(tmp_path, tiny_settings(**changes)).splitlines()[1:]
    assert line.startswith("  ingest: prcc_val_fraction 0.6 and prcc_test_fraction 0.4 leave nothing to train on")


def test_a_channel_is_a_number(tmp_path):
    (line,) = refusal(tmp_path, tiny_settings(**{"prepare_masks.fill": [0, True, 0]})).splitlines()[1:]
    assert "prepare_masks.fill.1: True is not allowed" in line


@pytest.mark.parametrize("key", ["split", "epochs"])
def test_a_key_given_twice_is_refused(tmp_path, key):
    text = yaml.safe_dump(tiny_settings())
    place = text.index(f"{key}:")
    indent = place - text.rindex("\n", 0, place) - 1
    message = refusal(tmp_path, f"{text[:place]}{key}: 1\n{' ' * indent}{text[place:]}")
    assert f"{key} is given twice" in message
    assert "line" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 5000, "nested too deeply"),
        ("a: " + "{a: " * 5000, "nested too deeply"),
        ("split: " + "9" * 5000, "digits"),
        ("data_root: 2024-13-45", "month must be in 1..12"),
        ("a: \0", "special characters"),
        ("? [a]\n: 1", "unhashable"),
    ],
)
def test_yaml_that_python_cannot_hold_is_refused(tmp_path, content, reason):
    message = refusal(tmp_path, content)
    assert "cannot be read" in message
    assert reason in message


def test_a_value_that_unfolds_without_end_is_shown_in_short(tmp_path):
    levels = [f"  - &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    text = yaml.safe_dump(tiny_settings() | {"model": None})
    message = refusal(tmp_path, text.replace("model: null", "\n".join(["model:", "  - &a0 [x]", *levels])))
    assert len(message) < 1000
    assert "model: [" in message


@pytest.mark.parametrize("content", ["", "just words", "- 1\n- 2\n", "42"])
def test_yaml_that_is_not_a_mapping_is_refused(tmp_path, content):
    assert "the file" in refusal(tmp_path, content)


@pytest.mark.parametrize("content", ["split: [1, 2", "a: b: c", "\ttab: 1"])
def test_broken_yaml_is_refused(tmp_path, content):
    assert "cannot be read" in refusal(tmp_path, content)


def test_a_missing_file_and_one_that_is_not_text_are_refused(tmp_path):
    with pytest.raises(LeukoError, match="cannot be read"):
        load_params(Params, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(LeukoError, match="cannot be read"):
        load_params(Params, tmp_path / "params.yaml")


def test_numbers_that_yaml_reads_as_text_become_numbers(tmp_path):
    # YAML 1.1 takes 1e-06 for text, as it has no point; `dvc exp run -S wbc.lr=1e-6` writes just that.
    path = tmp_path / "params.yaml"
    text = yaml.safe_dump(tiny_settings()).replace("lr: 0.003", "lr: 1e-06").replace("epochs: 2", "epochs: '3'")
    assert yaml.safe_load(text)["wbc"]["lr"] == "1e-06"
    path.write_text(text)
    params = load_params(Params, path)
    assert (params.wbc.lr, params.cam16.lr, params.prcc.epochs) == (1e-6, 1e-6, 3)


def test_a_bool_is_not_taken_for_text_nor_text_for_a_choice(tmp_path):
    lines = refusal(tmp_path, tiny_settings(data_root=True, split="50", **{"prepare_masks.cam16": False})).splitlines()
    assert [line.strip().split(":")[0] for line in lines[1:]] == ["data_root", "split", "prepare_masks.cam16"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"ablates": "blod"}, "transfer.scratch.ablates: 'blod' is not allowed; input should be another entry"),
        ({"ablates": "scratch"}, "transfer.scratch.ablates: 'scratch' is not allowed"),
        ({"finetune": {"emma": 0.5}}, "transfer.scratch.finetune.emma: extra inputs are not permitted; known here"),
        ({"finetune": {"ema": 2}}, "transfer.scratch.finetune.ema: input should be less than 1"),
        ({"probe": {"gamma": 0}}, "transfer.scratch.probe.gamma: input should be greater than 0"),
    ],
)
def test_an_entry_of_transfer_with_settings_of_its_own_is_checked(tmp_path, entry, told):
    start = {"network": "pooled", "weights": "none", **entry}
    assert told in refusal(tmp_path, tiny_settings(transfer={"scratch": start}))


def test_all_that_does_not_fit_together_is_said_at_once(tmp_path):
    entries = {
        "one": {"network": "pooled", "weights": "imagenet", "ablates": "nobody"},
        "two": {"network": "pooled", "weights": "none", "finetune": {"emma": 0.5, "lr": -3}, "probe": {"gamma": 0}},
    }
    settings = tiny_settings(transfer=entries, model="nope", synonyms={"blast": "Blast"})
    lines = [line.strip().split(": ")[0] for line in refusal(tmp_path, settings).splitlines()[1:]]
    assert sorted(lines) == sorted(
        ["transfer.one.ablates", "transfer.one.weights", "transfer.two.finetune.emma", "transfer.two.finetune.lr",
         "transfer.two.probe.gamma", "model", "synonyms"]
    )  # fmt: skip


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "pack_external", "external"])
@pytest.mark.parametrize(("arguments", "told"), [((), "name one entry of"), (("tisue",), "has no entry 'tisue'")])
def test_a_stage_of_many_entries_says_which_there_are(tmp_path, stage, arguments, told):
    write_settings(tmp_path, external={"bern": "bern"})
    there_are = "external has bern" if "external" in stage else "transfer has scratch, "
    with pytest.raises(LeukoError, match=f"{told}.*{there_are}"):
        run_stage(stage, tmp_path, *arguments)
