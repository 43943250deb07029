"""What belongs together: groups, how they are told, kept whole, and reported."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leuko.core.params.grouping import PRESETS, compile_rule
from leuko.data.division import choose_groups, order_by_group
from leuko.data.groups import describe_groups, in_words, unseen
from leuko.data.summary import describe_groups as describe
from leuko.data.tables import read_groups
from leuko.data.tree import Problems
from tests.conftest import tiny_settings
from tests.course import WBC, draw_course, make_manifest

CLASSES = ("rare", "common")


def groups_by(rule, paths, root=None):
    problems = Problems()
    found = read_groups(root, rule, paths, problems)
    assert not problems.found
    return [found[path] for path in paths]


@pytest.mark.parametrize(
    ("rule", "path", "group"),
    [
        ("raabin", "WBC_100/train/data/Basophil/95-8-10-1_527_1.jpg", "95-8-10-1"),
        ("raabin", "WBC_100/train/data/Neutrophil/20190527_111443_0.jpg", "20190527"),
        ("raabin", "WBC_100/train/data/Neutrophil/BA_1234.jpg", ""),
        ("raabin", "20190527_111443_0.jpg/BA_1234.jpg", ""),
        ("camelyon", "CAM16_100cls_10mask/train/data/normal/normal_002-500-2-384ver.jpg", "normal_002"),
        ("camelyon", "CAM16_100cls_10mask/train/data/normal/tumor_110-3-1-384ver.jpg", "tumor_110"),
        ("camelyon", "pRCC/centre_2_patient_056_node_1_1536_0.jpg", "patient_056"),
        ("camelyon", "CAM16_100cls_10mask/train/data/tumor/0001.jpg", ""),
        (r"(?P<group>slide\d+)_", "WBC_100/val/data/Basophil/slide07_basophil_0011.jpg", "slide07"),
        ("none", "WBC_100/val/data/Basophil/slide07_basophil_0011.jpg", ""),
    ],
)
def test_a_rule_reads_the_group_from_the_path(rule, path, group, tmp_path):
    other = "x/95-8-10-1_527_1.jpg slide01_ /normal_001-1.jpg"  # so that the rule fits something
    paths = [path, "95-1-1-1_1_1.jpg", "normal_001-1-1.jpg", "slide01_x.jpg", other]
    assert groups_by(rule, paths, tmp_path)[0] == group


@pytest.mark.parametrize("rule", [r"slide\d+", r"(?P<slide>\d+)", "(", "Raabin", "folder"])
def test_a_rule_without_a_group_is_refused_with_what_is_allowed(rule):
    with pytest.raises(ValueError, match=re.escape(repr(rule))):
        compile_rule(rule)


def test_a_rule_that_fits_nothing_is_a_problem(tmp_path):
    problems = Problems()
    assert read_groups(tmp_path, "raabin", ["a/b.jpg"], problems) == {"a/b.jpg": ""}
    assert [*problems.found.values()] == [{"raabin"}]


def tables(root, **content):
    for path in ("a/1.jpg", "a/2.jpg", "a/3_x.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    for name, text in content.items():
        (root / f"{name}.csv").write_text(text)
    return ["a/1.jpg", "a/2.jpg", "a/3_x.jpg"]


def test_the_table_at_the_root_is_taken_up_and_the_rule_says_the_rest(tmp_path):
    paths = tables(tmp_path, groups="path,group\na/1.jpg,NA\na/2.jpg,01\n")
    assert groups_by("none", paths, tmp_path) == ["NA", "01", ""]
    assert groups_by(r"(?P<group>\d)_x", paths, tmp_path) == ["NA", "01", "3"]


def test_another_table_can_be_named(tmp_path):
    paths = tables(tmp_path, smears="path,extra,group\na/3_x.jpg,?,s1\na/1.jpg,?,s2\n")
    assert groups_by("smears.csv", paths, tmp_path) == ["s2", "", "s1"]


def test_all_that_is_wrong_with_a_table_is_told(tmp_path):
    paths = tables(
        tmp_path,
        groups="path,group\na/1.jpg,x\na/1.jpg,y\na/2.jpg,x\na/2.jpg,x\na/9.jpg,x\n../secret,x\n"
        + 300 * "a"
        + ".jpg,x\n",
        smears="file,group\na/1.jpg,x\n",
    )
    problems = Problems()
    read_groups(tmp_path, "smears.csv", paths, problems)
    read_groups(tmp_path, "missing.csv", paths, problems)
    told = "\n".join(f"{kind} {line}" for kind, lines in problems.found.items() for line in lines)
    assert sorted(re.findall(r"\S+\.csv: .*", told))[:5] == [
        "groups.csv: ../secret",
        "groups.csv: a/1.jpg",
        "groups.csv: a/9.jpg",
        f"groups.csv: {300 * 'a'}.jpg",
        "missing.csv: [Errno 2] No such file or directory: '" + str(tmp_path / "missing.csv") + "'",
    ]
    assert "smears.csv: no path" in told


def test_paths_and_groups_of_a_table_count_however_they_are_written(tmp_path):
    paths = tables(tmp_path, groups="path,group\n./a/1.jpg,x \na//2.jpg, x\n")
    assert groups_by("none", paths, tmp_path) == ["x", "x", ""]


@pytest.mark.parametrize("rule", ["other.csv", r"(?P<group>x*)"])
def test_groups_that_are_of_no_image_are_a_problem(tmp_path, rule):
    paths = tables(tmp_path, other="path,group\nother.csv,x\n")
    problems = Problems()
    assert set(read_groups(tmp_path, rule, paths, problems).values()) == {""}
    assert [*problems.found.values()] == [{rule}]


def test_a_table_outside_the_data_root_is_refused_as_its_changes_would_go_unnoticed(tmp_path):
    paths = tables(tmp_path / "root", groups="path,group\na/1.jpg,x\n")
    (tmp_path / "out.csv").write_text("path,group\na/2.jpg,y\n")
    for rule in ("../out.csv", str(tmp_path / "out.csv")):
        problems = Problems()
        assert read_groups(tmp_path / "root", rule, paths, problems)[paths[1]] == ""
        assert [*problems.found.values()] == [{rule}]


many = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y", "z", "u", "v", "w"])), min_size=4)


@given(many, st.floats(0.1, 0.9), st.integers(0, 99))
def test_a_division_keeps_groups_whole_and_classes_on_both_sides_where_that_is_possible(images, share, seed):
    labels, groups = zip(*images, strict=True)
    chosen = choose_groups(labels, groups, share, np.random.default_rng(seed))
    table = pd.DataFrame({"label": labels, "group": groups, "chosen": chosen})
    assert (table[table["group"] != ""].groupby("group")["chosen"].nunique() < 2).all()
    singles = table[table["group"] == ""].groupby("label").size()
    if len(singles) == table["label"].nunique() and (singles >= 2).all():
        assert (table.groupby("label")["chosen"].nunique() == 2).all()


def test_a_division_comes_near_its_share_in_every_class():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 2_000).astype(str)
    labels = np.where(rng.random(2_000) < 0.1, "rare", "common")
    chosen = choose_groups(labels, groups, 0.3, np.random.default_rng(1))
    for label in CLASSES:
        assert chosen[labels == label].mean() == pytest.approx(0.3, abs=0.03)


def test_images_without_groups_are_divided_as_exactly_as_can_be():
    labels = ["rare"] * 7 + ["common"] * 93
    chosen = choose_groups(labels, [""] * 100, 0.3, np.random.default_rng(0))
    assert (chosen[:7].sum(), chosen[7:].sum()) == (2, 28)


def test_the_only_possible_division_is_found():
    # x alone holds the rare class's other half, and z must go with y's opposite.
    groups = ["x", "y", "y", "z", "z", "z", "u"]
    labels = ["rare", "rare", "common", "common", "common", "common", "common"]
    for seed in range(20):
        chosen = dict(zip(groups, choose_groups(labels, groups, 0.3, np.random.default_rng(seed)), strict=True))
        assert chosen["x"] != chosen["y"]
        assert len({chosen["y"], chosen["z"], chosen["u"]}) == 2


@given(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=1), st.integers(0, 99))
def test_an_order_by_group_holds_every_image_once_and_groups_together(groups, seed):
    order = order_by_group(groups, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))
    in_order = [groups[number] for number in order]
    changes = sum(a != b for a, b in itertools.pairwise(in_order) if a or b)
    assert changes <= 2 * len(set(groups)) + in_order.count("")
    for group in set(groups) - {""}:
        places = [place for place, name in enumerate(in_order) if name == group]
        assert places == list(range(places[0], places[0] + len(places)))


def cells(*rows):
    """Rows of a manifest: part, class, group, and how many images."""
    table = pd.DataFrame(rows, columns=["part", "class", "group", "n"])
    return table.loc[table.index.repeat(table["n"])].drop(columns="n").assign(set="wbc").reset_index(drop=True)


def mixed(part, groups, n_rare=2, n_common=10):
    return [(part, label, group, n) for group in groups for label, n in (("rare", n_rare), ("common", n_common))]


def test_groups_kept_apart_and_mixed_give_no_warning():
    manifest = cells(*mixed("train", "abcdef"), *mixed("val", "gh"), *mixed("test", "ijkl"))
    findings = describe_groups(manifest, CLASSES)
    assert findings["parts"] == {"train": 6, "val": 2, "test": 4}
    assert findings["seen"]["all"] == {"images": 48, "seen": 0, "share": 0}
    assert in_words(findings) == []


def test_nothing_is_said_of_groups_where_none_is_known():
    assert describe_groups(cells(("train", "rare", "", 3), ("test", "rare", "", 2)), CLASSES) is None
    assert in_words(None) == []


def test_a_leak_is_counted_by_class():
    manifest = cells(*mixed("train", "abcde"), *mixed("test", "ef"), ("test", "rare", "a", 8), ("test", "rare", "", 4))
    findings = describe_groups(manifest, CLASSES)
    assert findings["seen"]["all"] == {"images": 36, "seen": 20, "share": 20 / 36}
    assert findings["seen"]["classes"]["rare"] == {"images": 16, "seen": 10, "share": 10 / 16}
    assert findings["seen"]["classes"]["common"] == {"images": 20, "seen": 10, "share": 0.5}
    leak, without = in_words(findings)
    assert leak.startswith("20 of 36 test images (56 %) are of groups (patients, smears or days) that are also in")
    assert "rare 62 %, common 50 %" in leak
    assert without == "4 blood cell images have no known group."


def test_unseen_images_are_of_known_groups_that_training_lacks():
    manifest = cells(
        ("train", "rare", "a", 1), ("train", "rare", "", 1), *[("test", "rare", g, 1) for g in ("a", "b", "")]
    )
    training, test = manifest[manifest["part"] == "train"], manifest[manifest["part"] == "test"]
    assert list(unseen(test, training)) == [False, True, False]


def test_classes_of_few_groups_and_classes_that_coincide_with_groups_are_named():
    # As in one public set: every basophil was taken on four days, when nothing else was.
    common = [("train", "common", group, 30) for group in "abcdef"]
    manifest = cells(
        *common, *[("train", "rare", group, 20) for group in ("d1", "d2", "d3")], ("test", "rare", "d4", 9)
    )
    findings = describe_groups(manifest, CLASSES)
    assert findings["few"] == {"rare": 4}
    # Nor does the common class share a group with another, but with two classes that says the same.
    assert findings["coincide"]["rare"] == ["d1", "d2", "d3", "d4"]
    for named, shown in ((True, "d1, d2, d3, d4"), (False, "4")):
        told = in_words(findings, named=named)
        assert any(line.startswith(f"rare coincides with groups of its own ({shown})") for line in told)
    assert any(line.startswith("rare comes from 4 groups only") for line in in_words(findings))


def test_groups_of_single_images_and_pure_groups_by_chance_coincide_with_nothing():
    single = cells(*[("train", CLASSES[number % 2], f"g{number}", 1) for number in range(20)])
    assert describe_groups(single, CLASSES)["coincide"] == {}
    # 95 % are common, so most groups of three are purely so.
    rows = [("train", "common", f"g{number}", 3) for number in range(38)]
    rows += [("train", "rare", f"g{number}", 1) for number in range(6)]
    assert describe_groups(cells(*rows), CLASSES)["coincide"] == {}


def test_presets_compile():
    assert all(compile_rule(name).groupindex.keys() == {"group"} for name in PRESETS)


def n_parts_of_a_group(images):
    return {len(set(parts)) for _, parts in images.groupby("group")["part"]}


def test_ingest_keeps_groups_whole_wherever_it_divides(tmp_path):
    """Validation and test, pRCC and drawn subsets; every fifth image of a class is of the same group."""
    root = draw_course(tmp_path, train=20, val=12, prcc=20, subsets=(), alike=True)
    images = [path.relative_to(root).as_posix() for path in root.rglob("*.jpg")]
    number = {path: int(re.findall(r"(\d+).jpg", path)[0]) for path in images}
    rows = [
        f"{path},{path.partition('/data')[0] if 'pRCC' not in path else 'pRCC'}-{number[path] % 5}" for path in images
    ]
    (root / "groups.csv").write_text("\n".join(["path,group", *rows]))
    manifest = make_manifest(root, **tiny_settings()["ingest"])
    assert (manifest["group"] != "").all()
    for of_set in ("wbc", "prcc"):
        one = manifest[manifest["set"] == of_set]
        assert set(one["part"]) == {"train", "val", "test"}
        assert n_parts_of_a_group(one) == {1}
    held_out = manifest[(manifest["set"] == "wbc") & (manifest["part"] != "train")]
    assert (held_out.groupby("part")["class"].nunique() == 5).all()
    train = manifest[(manifest["set"] == "wbc") & (manifest["part"] == "train")]
    assert len(set(train[train["subset"] <= 10]["group"])) == 1  # two images of each class


def test_a_class_in_too_few_groups_is_divided_all_the_same_and_that_is_told(tmp_path):
    root = draw_course(tmp_path, train=2, val=4, alike=True)
    images = [path.relative_to(root).as_posix() for path in root.rglob("val/data/*/*.jpg")]
    rows = [f"{path},{'one' if 'Basophil' in path else Path(path).stem[-1]}" for path in images if "WBC" in path]
    (root / "groups.csv").write_text("\n".join(["path,group", *rows]))
    manifest = make_manifest(root, **tiny_settings()["ingest"])
    basophils = manifest[(manifest["class"] == "Basophil") & (manifest["part"] != "train")]
    assert set(basophils["part"]) == {"val", "test"}
    assert "1 group is in validation and in the test" in describe(manifest, WBC)


def test_the_demo_tells_its_slides_and_keeps_them_apart(demo):
    cells = make_manifest(demo, **tiny_settings()["ingest"]).query("set == 'wbc'")
    assert cells["group"].str.fullmatch(r"slide\d\d").all()
    assert n_parts_of_a_group(cells) == {1}
