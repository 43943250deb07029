"""Tables of images: how programs leave them, what they may name, and what they must not lead to."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leuko.core.errors import LeukoError
from leuko.data.tree import Problems
from leuko.importers.csv_table import choose_columns
from leuko.importers.delimited import read_table
from leuko.importers.named_files import find_files
from tests.course import noise, save
from tests.importing import run_import, survey, tree

TWO = ("NA", "007")


@pytest.fixture
def images(tmp_path):
    """Ten images of each of two labels that other readers take for no value and for a number."""
    for label in TWO:
        for number in range(10):
            save(noise([len(label), number]), tmp_path / "images" / f"of {label}" / f"{label} {number} é.png")
    return tmp_path / "images"


def paths_of(images):
    return [
        (path.relative_to(images.parent).as_posix(), path.name.split()[0]) for path in sorted(images.rglob("*.png"))
    ]


def write(path, lines, *, encoding="utf-8", end="\n"):
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


def refused(*words) -> str:
    with pytest.raises(LeukoError) as error:
        run_import(*words)
    return str(error.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\r\n"), ("utf-8", "\r")]
)
def test_tables_as_programs_write_them(delimiter, encoding, end, images, tmp_path):
    lines = [delimiter.join(row) for row in [("File Name", "Cell_Type"), *paths_of(images)]]
    table = write(tmp_path / "table.csv", [*lines, "", lines[-1]], encoding=encoding, end=end)
    run_import("csv", table, "--out", tmp_path / "out", "--all-classes")
    assert Counter(survey(tmp_path / "out", TWO[::-1])["class"]) == dict.fromkeys(TWO, 10)


def test_paths_may_be_absolute_or_have_backslashes_or_come_from_another_machine(images, tmp_path):
    rows = paths_of(images)
    for number, prefix in enumerate((f"{tmp_path}/", "C:\\data\\", "/home/other/cells/", "./", "elsewhere/")):
        turn = "\\" if "\\" in prefix else "/"
        lines = [f"{prefix}{path.replace('/', turn)},{label}" for path, label in rows]
        table = write(tmp_path / f"table{number}.csv", ["path,label", *lines])
        run_import("csv", table, "--out", tmp_path / f"out {number}", "--all-classes")
        assert len(survey(tmp_path / f"out {number}", TWO)) == 20


def test_bare_names_are_looked_for_below_and_refused_where_two_folders_have_them(images, tmp_path):
    lines = [f"{Path(path).stem},{label}" for path, label in paths_of(images)]
    table = write(tmp_path / "table.csv", ["image,label", *lines])
    run_import("csv", table, "--out", tmp_path / "out", "--all-classes")
    assert len(survey(tmp_path / "out", TWO)) == 20
    (tmp_path / "again").symlink_to(images)
    run_import("csv", table, images, tmp_path / "again", "--out", tmp_path / "twice", "--all-classes")
    assert tree(tmp_path / "twice/WBC_100") == tree(tmp_path / "out/WBC_100")
    save(noise(1), images / "of NA" / "007 3 é.png")
    message = refused("csv", table, images, "--out", tmp_path / "two", "--all-classes")
    assert "several folders have" in message and message.count("007") == 1


@pytest.mark.parametrize(
    "name", ["../../../{}", "images/../../../../{}", "{absolute}", "images/link/{name}", "..\\../..\\{}"]
)
def test_paths_lead_nowhere_but_into_the_folders_given(name, images, tmp_path):
    secret = save(noise(1), tmp_path.parent / f"{tmp_path.name} secret" / "x.png")
    (images / "link").symlink_to(secret.parent)
    inner = tmp_path / "a"
    images.rename(tmp_path / "moved")
    (inner / "b").mkdir(parents=True)
    (tmp_path / "moved").rename(inner / "b" / "images")
    relative = f"{secret.parent.name}/{secret.name}"
    row = name.format(relative, absolute=secret, name=secret.name)
    table = write(
        inner / "b/table.csv", ["path,label", *(",".join(row) for row in paths_of(inner / "b/images")), f"{row},NA"]
    )
    message = refused("csv", table, "--out", tmp_path / "out", "--all-classes")
    assert row in message and "SOURCE" in message and message.startswith("1 problem ")
    if "link" not in name:
        run_import("csv", table, inner / "b", secret.parent, "--out", tmp_path / "out", "--all-classes")


@given(name=st.text("abx./\\:~\0é ", min_size=1), other=st.text("abx./\\é ", max_size=4))
def test_no_path_is_found_outside(name, other, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for path in ("x", "a/x", "a/b/x", "in/a/x", "in/x", "in/b/x/x"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).touch()
    (home / "in/b/a").symlink_to(home / "a")
    found = find_files([name, other], [home / "in"], Problems())
    assert all(place.resolve().is_relative_to(home / "in") and place.is_file() for place in found.values())


def test_what_is_not_there_or_no_image_is_listed(images, tmp_path):
    (images / "notes.txt").write_text("no image")
    lines = [",".join(row) for row in paths_of(images)]
    more = ["images/none.png,NA", "images/notes.txt,NA", "images/of NA/NA 1 é.png,007", "images/of NA/NA 2 é.png,"]
    table = write(tmp_path / "table.csv", ["path,label", *lines, *more])
    message = refused("csv", table, "--out", tmp_path / "out", "--all-classes")
    for path in ("images/none.png", "images/notes.txt", "images/of NA/NA 1 é.png", "images/of NA/NA 2 é.png"):
        assert f"    {path}\n" in f"{message}\n"
    assert "say different things" in message and "without a label" in message


def test_parts_groups_and_masks_come_from_their_columns(images, tmp_path):
    rows = paths_of(images)
    parts = ["train", "validation", "Test", "training"] * 5
    lines = [
        f"{path},{label},{part},p{number % 4}"
        for number, ((path, label), part) in enumerate(zip(rows, parts, strict=True))
    ]
    table = write(tmp_path / "table.csv", ["path,label,split,donor", *lines])
    run_import("csv", table, "--out", tmp_path / "out", "--all-classes", "--group", "donor")
    manifest = survey(tmp_path / "out", TWO)
    assert manifest.groupby("part").size().to_dict() == {"train": 10, "val": 5, "test": 5}
    assert (tmp_path / "out/groups.csv").read_text().count(",p") == 20
    table = write(
        tmp_path / "table.csv", ["path,label,split,donor", *(line.replace("Test", "fold 3") for line in lines)]
    )
    assert "fold 3" in refused("csv", table, "--out", tmp_path / "two", "--all-classes")
    run_import("csv", table, "--columns", "part=", "--all-classes", "--out", tmp_path / "two")


def test_tables_named_after_parts_are_parts(images, tmp_path):
    rows = [",".join(row) for row in paths_of(images)]
    tables = [
        write(tmp_path / f"my_{part}.csv", ["path,label", *rows[start::3]])
        for start, part in enumerate(("train", "val", "test"))
    ]
    run_import("csv", *tables, "--out", tmp_path / "out", "--all-classes")
    assert survey(tmp_path / "out", TWO).groupby("part").size().to_dict() == {"train": 7, "val": 7, "test": 6}


def test_a_table_without_names_of_columns_needs_them(images, tmp_path):
    rows = [f"TRAIN,{path},{label}" for path, label in paths_of(images)]
    table = write(tmp_path / "table.csv", [*rows, *rows])  # as MedMNIST's own `save` leaves it when called twice
    assert "The columns are TRAIN" in refused("csv", table, "--out", tmp_path / "out", "--all-classes")
    run_import("csv", table, "--header", "part,path,label", "--out", tmp_path / "out", "--all-classes")
    assert len(survey(tmp_path / "out", TWO)) == 20


def test_columns_are_chosen_by_name_or_by_hand():
    names = ["image_name", "cell_type", "path", "split", "Unnamed: 0"]
    assert choose_columns(names, [], None) == {"path": "path", "label": "cell_type", "part": "split"}
    assert choose_columns(names, ["path=image_name"], None)["path"] == "image_name"
    for chosen in (["path=nothing"], ["patch=path"], ["path"], ["label="]):
        with pytest.raises(LeukoError, match="--columns"):
            choose_columns(names, chosen, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "without rows"),
        (b"path,label\n", "without rows"),
        (b"path,label\na.png,b,c\n", "lines that have not 2 columns"),
        (b'path,label\n\nx,y\n"a\n.png,b\n', "not a table"),
        (b"path,path\na.png,b\n", "several columns are called path"),
        (b"path" * 50_000 + b"\n1\n", "not a table"),
        (b"path,label\n\xe9.png,b\n", "not a table in UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00\xff\xff", "not a table in UTF-8"),
    ],
)
def test_what_is_no_table_says_why(content, reason, tmp_path):
    (tmp_path / "table.csv").write_bytes(content)
    assert reason in refused("csv", tmp_path / "table.csv", "--out", tmp_path / "out")


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)


@pytest.mark.slow
@given(
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_is_read_as_it_was_written(rows, delimiter, encoding, end, tmp_path_factory):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end)
    writer.writerows([("path", "label", "group"), *rows])
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    stripped = [tuple(value.strip() for value in row) for row in rows]
    expected = list(dict.fromkeys(row for row in stripped if any(row)))
    if expected:
        assert [tuple(row.values()) for row in read_table(path)] == expected
    else:
        with pytest.raises(LeukoError):
            read_table(path)
