"""Released answers: what is packed, what is found again, and what is refused."""

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers import says

from dsi_core.runtime import disk, locks, packing, provenance, released, store

HERE = "cpu fp32"  # the suite's automatic precision, but for CPUs that compute in bf16
GPU = "cuda bf16"
TUNED = {"base": {"toy": "llama"}, "precision": GPU, "recipe": {"method": "lora"}}
ASKED = {"model": TUNED, "model_id": "M", "seed": 0}
QLORA = {**TUNED, "precision": f"{GPU} nf4", "recipe": {"method": "qlora"}}


@pytest.fixture
def gpu_store(empty_store, monkeypatch):
    """A store that a GPU filled; "used" says what a notebook looked at."""
    monkeypatch.setenv(store.USED, str(packing.use_list("smoke", "01")))
    write(
        store.entry("tuned", "M", TUNED), "loss.csv", "step,loss\n1,0.5\n", tokens=7, device="GPU"
    )
    write(store.entry("tuned", "M", TUNED), "model.safetensors", "weights")
    write(
        store.entry("tuned", "Q", QLORA), "loss.csv", "step,loss\n1,0.7\n", tokens=5, device="GPU"
    )
    asked = store.entry("responses", "M", ASKED)
    write(asked, "responses.jsonl", '{"sample_id": "s", "draw": 0}\n', answers=1, device="GPU")
    write(store.entry("models", "base", {"toy": "llama"}), "model.safetensors", "weights")
    store.entry("losses", "unfinished", {"model": TUNED})
    scores = store.entry("similarity", "bert", {"toy": "bert"})
    with closing(sqlite3.connect(scores / "scores.sqlite")) as database:
        database.execute("CREATE TABLE scores (pair TEXT PRIMARY KEY, f1 REAL NOT NULL)")
        database.executemany("INSERT INTO scores VALUES (?, ?)", [("b", 0.25), ("a", 0.1)])
        database.commit()
    write(scores, "baseline-1.json", "{}", pairs=2)
    (scores / "bert").mkdir()
    write(scores / "bert", "model.safetensors", "weights")
    monkeypatch.delenv(store.USED)
    private = store.entry("responses", "M", {**ASKED, "seed": 1})
    write(private, "responses.jsonl", '{"sample_id": "private", "draw": 0}\n', answers=1)
    return empty_store


def write(folder, name, text, **facts):
    (folder / name).write_text(text)
    if facts:
        store.finish(folder, **facts)


@pytest.fixture
def release(gpu_store, tmp_path, monkeypatch):
    """Its release, and an empty store that may use it."""
    packing.pack("smoke", tmp_path / "answers")
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "another store"))
    monkeypatch.setenv(released.SWITCH, str(tmp_path / "answers"))
    return tmp_path / "answers"


@pytest.fixture(autouse=True)
def cpu(monkeypatch):
    from dsi_core.runtime.precision import Precision

    monkeypatch.setattr(released, "detect", lambda: Precision("cpu", "fp32"))


def names(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_packed_is_what_notebooks_looked_at_and_no_weight(gpu_store, tmp_path):
    made = packing.pack("smoke", tmp_path / "answers")
    assert sorted(p.name for p in (tmp_path / "answers").iterdir()) == [
        "manifest.json",
        "responses.zip",
        "similarity.zip",
        "tuned.zip",
    ]
    tuned = [store.entry_name("tuned", *model) for model in (("M", TUNED), ("Q", QLORA))]
    files = ["loss.csv", "manifest.json", "spec.json"]
    assert names(tmp_path / "answers" / "tuned.zip") == [f"{e}/{f}" for e in tuned for f in files]
    asked = store.entry_name("responses", "M", ASKED)  # not the one of the other seed
    assert names(tmp_path / "answers" / "responses.zip")[0] == f"{asked}/manifest.json"
    assert len(names(tmp_path / "answers" / "responses.zip")) == 3
    scored = names(tmp_path / "answers" / "similarity.zip")
    assert [name.partition("/")[2] for name in scored] == [
        "baseline-1.json",
        "manifest.json",
        "scores.sqlite",
        "spec.json",
    ]
    assert made == released.read(tmp_path / "answers")
    assert made.precision == {GPU: 2, f"{GPU} nf4": 1} and made.devices == {"GPU": 3}
    assert made.counts["tuned"] == {"entries": 2, "tokens": 12}
    assert made.commits == {provenance.commit(): 4} and made.cpus == {provenance.cpu(): 4}
    assert made.versions == provenance.versions()


def test_the_whole_store_is_packed_only_when_that_is_asked_for(gpu_store, tmp_path):
    made = packing.pack("smoke", tmp_path / "answers", whole_store=True)
    assert made.files["responses.zip"].entries == 2
    with pytest.raises(ValueError) as error:
        packing.pack("small", tmp_path / "answers")
    says(error, str(gpu_store), "'small'", "dsi reproduce --profile small")
    assert (tmp_path / "answers" / "responses.zip").exists()


def test_what_a_notebook_looked_at_that_did_not_end_is_not_packed(gpu_store, tmp_path):
    """Neither without it, which would be less than the study; all of the store needs no list."""
    unfinished = packing.use_list("smoke", "02").with_suffix(packing.UNFINISHED)
    unfinished.write_text("")
    with pytest.raises(ValueError) as error:
        packing.pack("smoke", tmp_path / "answers")
    says(error, "02 did not run to the end", "'smoke'", "--only 02", str(unfinished))
    assert not (tmp_path / "answers").exists()
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    unfinished.unlink()
    packing.pack("smoke", tmp_path / "answers")


@pytest.mark.parametrize("label", [GPU, HERE])
def test_what_released_answers_stood_for_is_not_dropped(release, tmp_path, monkeypatch, label):
    """Also where another machine's stood for this one's; what nobody makes may be looked up."""
    monkeypatch.setenv(store.USED, str(packing.use_list("smoke", "01")))
    trained = {**TUNED, "precision": label}
    store.finish(store.entry("losses", "own", {"model": trained}))
    store.entry("tuned", "untuned", {"base": {"toy": "llama"}}, make=False)
    out = tmp_path / "new"
    assert list(packing.pack("smoke", out).files) == ["losses.zip"]
    own = store.entry("responses", "M", {**ASKED, "model": trained}, make=False)
    assert released.find("responses", "M", {**ASKED, "model": trained}) is not None
    with pytest.raises(ValueError) as error:
        packing.pack("smoke", out)
    says(error, "1 of 3 entries", own.name, "--from-nothing --profile smoke")
    assert list(released.read(out).files) == ["losses.zip"]
    store.finish(store.entry("responses", "M", {**ASKED, "model": trained}))
    assert list(packing.pack("smoke", out).files) == ["responses.zip", "losses.zip"]


def test_an_interrupt_leaves_the_release_that_was_there(gpu_store, tmp_path, monkeypatch):
    before = packing.pack("smoke", tmp_path / "answers")
    real, calls = os.replace, []

    def interrupted(source, target):
        calls.append(target)
        if target == tmp_path / "answers" and len(calls) == moves:
            raise KeyboardInterrupt
        real(source, target)

    moves = 0
    monkeypatch.setattr(packing.os, "replace", interrupted)
    packing.pack("smoke", tmp_path / "answers")
    moves, calls[:] = len(calls), []
    with pytest.raises(KeyboardInterrupt):
        packing.pack("smoke", tmp_path / "answers")
    assert [path.name for path in tmp_path.iterdir() if "answers" in path.name] == ["answers"]
    assert released.read(tmp_path / "answers") == before


KILLED = """
import os, sys
from pathlib import Path
from dsi_core.runtime import packing
real, out, at = os.replace, Path(sys.argv[1]), sys.argv[2]
def replace(source, target):
    if Path(target).name == at:
        os._exit(9)
    real(source, target)
packing.os.replace = replace
packing.pack("smoke", out)
"""


@pytest.mark.parametrize("at", ["manifest.json", "answers"])
def test_what_a_killed_release_left_is_gone_after_the_next(gpu_store, tmp_path, at):
    """Killed at the manifest, or when the old release is moved away: then that comes back."""
    before = packing.pack("smoke", tmp_path / "answers")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "answers"), at]
    assert subprocess.run(command).returncode == 9
    (left,) = tmp_path.glob(".answers.*")
    with locks.alone(left), pytest.raises(ValueError, match="another run holds it"):
        packing.pack("smoke", tmp_path / "answers")  # as if it ran still
    assert left.exists()
    with pytest.raises(ValueError, match="no complete entry"):
        packing.pack("small", tmp_path / "answers")
    assert released.read(tmp_path / "answers") == before
    assert packing.pack("smoke", tmp_path / "answers") == before
    assert not list(tmp_path.glob(".answers.*"))


def test_the_same_store_gives_the_same_bytes(gpu_store, tmp_path):
    packing.pack("smoke", tmp_path / "one")
    scores = store.entry("similarity", "bert", {"toy": "bert"}) / "scores.sqlite"
    with closing(sqlite3.connect(scores)) as database:  # the same rows, come in another order
        database.execute("DELETE FROM scores")
        database.executemany("INSERT INTO scores VALUES (?, ?)", [("a", 0.1), ("b", 0.25)])
        database.commit()
    packing.pack("smoke", tmp_path / "two")
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 4


def test_only_a_release_is_replaced(gpu_store, tmp_path):
    """Not the user's folder, nor a file; a link to a release stays one."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "results", tmp_path / "file"):
        with pytest.raises(ValueError) as error:
            packing.pack("smoke", out)
        says(error, str(out), "would be replaced", "--out")
    assert (tmp_path / "results" / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "answers").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "answers")
    for _ in range(2):
        made = packing.pack("smoke", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and released.read(tmp_path / "answers") == made


def test_another_machines_precision_serves_where_this_ones_own_is_asked_for(release):
    here = {**TUNED, "precision": HERE}
    folder = released.find("tuned", "M", here)
    assert folder.name == store.entry_name("tuned", "M", TUNED)
    assert (folder / "loss.csv").read_text() == "step,loss\n1,0.5\n"
    assert folder.is_relative_to(store.root() / "released")
    nested = released.find("responses", "M", {**ASKED, "model": here})
    assert nested.name == store.entry_name("responses", "M", ASKED)
    assert released.find("tuned", "M", TUNED) == folder  # its own key
    quantized = {**QLORA, "precision": HERE}  # LoRA here, QLoRA there
    assert released.find("tuned", "Q", quantized).name == store.entry_name("tuned", "Q", QLORA)
    assert released.find("tuned", "M", {**TUNED, "precision": "cpu bf16"}) is None
    assert released.find("tuned", "M", {**here, "seed": 1}) is None
    assert released.find("tuned", "another", here) is None


def test_an_own_entry_comes_first_once_it_is_complete(release):
    here = {**TUNED, "precision": HERE}
    looked_up = released.entry("tuned", "M", here)
    assert looked_up.is_relative_to(store.root() / "released")
    own = store.entry("tuned", "M", here)
    assert released.entry("tuned", "M", here) == looked_up  # not complete yet
    store.finish(own)
    assert released.entry("tuned", "M", here) == own
    unknown = released.entry("tuned", "M", {**here, "seed": 1})
    assert unknown.parent == store.root() / "tuned" and (unknown / "spec.json").exists()


def test_rows_of_a_released_database_are_in_order(release):
    folder = released.find("similarity", "bert", {"toy": "bert"})
    with closing(sqlite3.connect(folder / "scores.sqlite")) as database:
        assert database.execute("SELECT * FROM scores").fetchall() == [("a", 0.1), ("b", 0.25)]


def test_without_released_answers_there_is_the_own_store_alone(release, monkeypatch):
    monkeypatch.setenv(released.SWITCH, released.OFF)
    assert released.find("tuned", "M", TUNED) is None
    assert released.releases() == [] and not (store.root() / "released").exists()
    with pytest.raises(ValueError, match=r"\(\$DSI_RELEASED is 0, which leaves them out\)"):
        released.check("smoke")
    monkeypatch.delenv(released.SWITCH)
    assert all(place.match("figures/*/answers") for place in released.releases())


@pytest.mark.parametrize("switch", ["set", None])
def test_where_a_release_was_looked_for_is_said(release, monkeypatch, switch):
    if switch is None:
        monkeypatch.delenv(released.SWITCH)
    with pytest.raises(ValueError) as error:
        released.check("mine")
    place = f"$DSI_RELEASED, {release})" if switch else f"{released.folder_of('mine')})"
    says(error, "of profile 'mine'", place)
    assert ("$" in str(error.value)) == bool(switch)


def test_what_the_entries_say_of_their_speed_is_read_from_the_archives(release, monkeypatch):
    """Two were tuned: 7 and 5 tokens. With the answers switched off the same; damaged: nothing."""
    monkeypatch.setattr(released, "_all", lambda: [release])
    for switch in (str(release), released.OFF):
        monkeypatch.setenv(released.SWITCH, switch)
        said = {spec["precision"]: facts["tokens"] for spec, facts in released.facts("tuned")}
        assert said == {GPU: 7, f"{GPU} nf4": 5}
        assert released.facts("losses") == []
    assert not (store.root() / "released").exists()
    path = release / "tuned.zip"
    path.write_bytes(path.read_bytes() + b"x")
    assert released.facts("tuned") == [] and len(released.facts("responses")) == 1


def test_an_altered_archive_is_refused_with_what_helps(release, monkeypatch):
    monkeypatch.delenv(released.SWITCH)
    monkeypatch.setattr(released, "_all", lambda: [release])
    path = release / "tuned.zip"
    right = disk.sha256_of(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError) as error:
        released.find("tuned", "M", TUNED)
    wrong = disk.sha256_of(path)
    says(error, str(path), right, wrong, "git checkout", "DSI_RELEASED=0")
    assert not (store.root() / "released").exists()
    path.unlink()
    with pytest.raises(ValueError) as error:
        released.find("tuned", "M", TUNED)
    says(error, str(path), "cannot be read", "git checkout")
    assert released.find("responses", "M", ASKED) is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "10 field(s) refused, the first: format: Field required"),
        ("no JSON", "Invalid JSON"),
        (None, "No such file"),
    ],
)
def test_a_folder_without_a_manifest_is_refused(release, monkeypatch, text, why):
    monkeypatch.delenv(released.SWITCH)
    monkeypatch.setattr(released, "_all", lambda: [release])
    (release / "manifest.json").unlink()
    if text is not None:
        (release / "manifest.json").write_text(text)
    with pytest.raises(ValueError) as error:
        released.find("tuned", "M", TUNED)
    says(error, str(release / "manifest.json"), why, "git checkout", "DSI_RELEASED=0")


def test_what_is_no_release_is_not_brought_back_by_git(release, tmp_path, monkeypatch):
    """A file in its place, no folder, and the folder of a profile's figures with its manifest."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "manifest.json").write_text(
        json.dumps({f"{i}.pdf": "0" * 64 for i in range(1000)})
    )
    for place in (release / "manifest.json", tmp_path / "nowhere", tmp_path / "figures"):
        monkeypatch.setenv(released.SWITCH, str(place))
        with pytest.raises(ValueError) as error:
            released.check("smoke")
        says(error, str(place / "manifest.json"), "$DSI_RELEASED is the folder of a release")
        assert "git" not in str(error.value) and len(str(error.value)) < 500


def test_entries_of_another_format_are_refused(release):
    facts = json.loads((release / "manifest.json").read_text())
    (release / "manifest.json").write_text(json.dumps({**facts, "format": 3}))
    with pytest.raises(ValueError) as error:
        released.find("tuned", "M", TUNED)
    says(error, "format 3", f"format {store.FORMAT}")


def test_what_is_committed_is_whole_small_and_without_weights(monkeypatch):
    monkeypatch.delenv(released.SWITCH)
    for place in released.releases():
        files = released.read(place).files
        assert {path.name for path in place.iterdir()} == {"manifest.json", *files}
        assert sum(path.stat().st_size for path in place.iterdir()) < 20e6
        for name, file in files.items():
            assert disk.sha256_of(place / name) == file.sha256, place / name
            allowed = [store.SPEC, store.MANIFEST, *packing.CONTENT[name.partition(".")[0]]]
            inside = {Path(entry).name for entry in names(place / name)}
            assert all(any(fnmatch(entry, a) for a in allowed) for entry in inside)
