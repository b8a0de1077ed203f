"""The store: one place per spec, one format, complete only when finished."""

import enum
import json
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from helpers import says
from pydantic import BaseModel

from dsi_core.runtime import disk, entries, provenance, store


def test_key_is_the_hash_of_the_spec_whatever_its_order():
    spec = {"model": {"base": "a", "rank": 8}, "seed": 0, "draws": [1, 2], "name": "é"}
    assert store.key(spec) == store.key(
        {"name": "é", "draws": [1, 2], "seed": 0, "model": {"rank": 8, "base": "a"}}
    )
    assert store.key({"b": 1, "a": "é"}) == "aa58fba84836"  # sha256 of '{"a":"é","b":1}'
    others = [
        {**spec, "seed": 1},
        {**spec, "seed": "0"},
        {**spec, "draws": [2, 1]},
        {**spec, "model": {"base": "a", "rank": 9}},
        {**spec, "name": "e"},
        {**spec, "more": None},
        {k: v for k, v in spec.items() if k != "seed"},
    ]
    assert len({store.key(s) for s in [spec, *others]}) == 8


def test_entry_says_what_belongs_there(empty_store):
    folder = store.entry("tuned", "owner/name", {"seed": 1, "é": "ü"})
    assert folder == empty_store / "tuned" / f"owner-name-{store.key({'seed': 1, 'é': 'ü'})}"
    assert store.entry("tuned", "owner/name", {"é": "ü", "seed": 1}) == folder
    assert (folder / "spec.json").read_text(encoding="utf-8") == '{\n "seed": 1,\n "é": "ü"\n}'
    assert store.entry("tuned", "owner/name", {"seed": 2, "é": "ü"}) != folder
    looked_up = store.entry("tuned", "R^t x y", {"seed": 3}, make=False)
    assert looked_up.name == f"R-t-x-y-{store.key({'seed': 3})}" and not looked_up.exists()


class Method(enum.StrEnum):
    LORA = "lora"
    FULL = "full"


class Recipe(BaseModel):
    method: Method
    rank: int = 8
    schedule: str | None = None


class RecipeWithMore(Recipe):
    neutral: int = 0


@dataclass(frozen=True)
class Training:
    base: str
    recipe: Recipe
    datasets: tuple[str, ...] = ()
    seed: int = 0
    extra: dict = field(default_factory=dict)


def test_a_spec_has_no_defaults_so_a_neutral_new_setting_orphans_nothing():
    spec = store.spec_of(Recipe(method="lora", rank=8))
    assert spec == {"method": "lora"}
    assert store.spec_of(RecipeWithMore(method="lora")) == spec
    assert store.spec_of(RecipeWithMore(method="lora", neutral=1, rank=4)) == {
        "method": "lora",
        "rank": 4,
        "neutral": 1,
    }


def test_a_spec_of_records_within_records_keeps_what_a_part_is():
    part = RecipeWithMore(method="full", neutral=2)  # the field is declared to hold a Recipe
    assert store.spec_of(Training("a", part, ("x", "y"))) == {
        "base": "a",
        "recipe": {"method": "full", "neutral": 2},
        "datasets": ["x", "y"],
    }
    with pytest.raises(TypeError, match="cannot hold"):
        store.spec_of({"part": object()})


def test_a_required_field_is_said_whatever_it_holds():
    class Row(BaseModel):
        number: int | None
        share: float = 1.0

    assert store.spec_of(Row(number=None, share=1)) == {"number": None}
    assert store.spec_of(Row(number=0, share=0.5)) == {"number": 0, "share": 0.5}


def test_one_and_one_point_nought_are_one_setting():
    @dataclass(frozen=True)
    class Sampling:
        temperature: float = 1.0
        greedy: bool = False

    assert store.spec_of(Sampling(temperature=1)) == {}
    specs = [store.spec_of(Sampling(temperature=t)) for t in (0, 0.0)]
    assert [json.dumps(s) for s in specs] == ['{"temperature": 0}'] * 2
    assert json.dumps(store.spec_of(Sampling(greedy=True))) == '{"greedy": true}'


def test_an_epoch_gives_the_kind_and_what_is_made_from_it_new_places(empty_store, monkeypatch):
    def folders() -> dict[str, Path]:
        return {kind: store.entry(kind, "m", {"seed": 1}) for kind in store.EPOCHS}

    monkeypatch.setattr(store, "EPOCHS", dict.fromkeys(store.EPOCHS, 1))
    before = folders()
    assert {f.name for f in before.values()} == {f"m-{store.key({'seed': 1})}"}
    monkeypatch.setitem(store.EPOCHS, "tuned", 2)
    after = folders()
    moved = {kind for kind in before if before[kind] != after[kind]}
    assert moved == {"tuned", "responses", "losses", "dpdllm"}
    assert json.loads((after["losses"] / "spec.json").read_text()) == {
        "seed": 1,
        "epochs": {"tuned": 2},
    }
    monkeypatch.setitem(store.EPOCHS, "tuned", 3)
    assert folders()["tuned"] not in (before["tuned"], after["tuned"])


def old_entry(place: Path) -> None:
    folder = place / "tuned" / "m-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text('{"seed": 1}')


def newer_format(place: Path) -> None:
    place.mkdir()
    (place / "format.json").write_text('{"format": 99}')


def test_a_new_store_is_its_owners_alone(empty_store):
    store.entry("models", "m", {"a": 1})
    assert stat.S_IMODE(empty_store.stat().st_mode) == 0o700


@pytest.mark.parametrize(("make", "number"), [(old_entry, 1), (newer_format, 99)])
def test_a_store_of_another_format_is_refused(empty_store, make, number):
    make(empty_store)
    files = sorted(empty_store.rglob("*"))
    uses = [
        store.root,
        entries.status,
        lambda: store.entry("tuned", "m", {"seed": 1}),
        lambda: store.entry("tuned", "m", {"seed": 1}, make=False),
    ]
    for use in uses:
        with pytest.raises(ValueError) as error:
            use()
        says(error, str(empty_store), f"format {number} ", "format 2", "move", "$DSI_STORE")
        assert "\n" not in str(error.value)
    assert sorted(empty_store.rglob("*")) == files


def test_a_new_store_is_marked_and_wheels_alone_are_no_old_one(empty_store):
    (empty_store / "wheels" / "one==1").mkdir(parents=True)
    assert store.root() == empty_store and not (empty_store / "format.json").exists()
    store.entry("tuned", "m", {"seed": 1})
    assert json.loads((empty_store / "format.json").read_text()) == {"format": 2}
    assert store.entry("tuned", "m", {"seed": 1}).exists()


def test_complete_only_when_finished(empty_store):
    folder = store.entry("tuned", "m", {"seed": 1})
    (folder / "weights").write_text("some")
    assert store.manifest(folder) is None
    done = store.finish(folder, pairs=3, note="é")
    assert store.manifest(folder) == done
    assert (done["pairs"], done["note"], done["versions"]["pandas"]) == (3, "é", pd.__version__)
    assert done["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert done["format"] == 2 and done["commit"] == provenance.commit()


def test_status_lists_every_entry(empty_store, monkeypatch):
    columns = ["kind", "name", "key", "settings", "complete", "MB", "seconds", "finished"]
    assert entries.status().empty and entries.status().columns.tolist() == columns
    times = iter(["2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00"])
    monkeypatch.setattr(provenance, "now", lambda: next(times))
    specs = {
        n: {"base": n, "seed": 1, "recipe": {"method": "lora", "rank": 8}}
        for n in ("a-b", "c", "d")
    }
    later, earlier, open_ = (store.entry("tuned", n, s) for n, s in specs.items())
    (later / "weights").write_bytes(bytes(2_500_000))
    store.finish(later, seconds=4.5)
    store.finish(earlier)
    (open_ / "checkpoints").mkdir()
    (open_ / "gone").symlink_to(open_ / "removed meanwhile")
    table = entries.status()
    assert table["name"].tolist() == ["d", "c", "a-b"]  # newest last
    assert table["key"].tolist() == [store.key(specs[n]) for n in ("d", "c", "a-b")]
    assert table["settings"].tolist() == ["seed=1 method=lora rank=8"] * 3
    assert table["complete"].tolist() == [False, True, True]
    assert table["MB"].tolist() == [0.0, 0.0, 2.5]
    assert table["finished"].tolist() == [
        "",
        "2026-01-01T00:00:00+00:00",
        "2026-01-02T00:00:00+00:00",
    ]
    assert table["seconds"].iloc[2] == 4.5


def test_a_table_with_a_damaged_page_is_named(empty_store):
    """pyarrow says it by a plain error of the system; a file that is gone is not damaged."""
    path = store.entry("losses", "m", {"seed": 1}) / "losses.parquet"
    disk.write_table(path, pd.DataFrame({"f1": [0.1 * i for i in range(1000)]}))
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(b ^ 0xFF for b in content[4:40])  # the first page's header
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        disk.read_table(path)
    says(error, str(path), "is damaged", f"remove {path.parent}")
    with pytest.raises(FileNotFoundError):
        disk.read_table(path.with_name("none.parquet"))


def test_a_damaged_entry_is_named_and_keeps_no_other_from_being_listed(empty_store):
    whole, torn = (store.entry("tuned", name, {"seed": 1}) for name in ("whole", "torn"))
    store.finish(whole)
    (torn / "manifest.json").write_text('{"seconds": 4')
    (torn / "scores.parquet").write_bytes(b"PAR1")
    for read in (store.manifest, lambda folder: disk.read_table(folder / "scores.parquet")):
        with pytest.raises(ValueError) as error:
            read(torn)
        says(error, str(torn), "is damaged", f"remove {torn}")
    table = entries.status().set_index("name")
    assert table["complete"].to_dict() == {"whole": True, "torn": False}
    assert "is damaged" in table.loc["torn", "settings"]


def test_a_store_that_another_process_makes_just_now_is_none_of_old(empty_store, monkeypatch):
    store.entry("tuned", "m", {"seed": 1})
    read, late = disk.read_json, [FileNotFoundError()]  # it was not marked yet when first looked at

    def reads(*told):
        if late:
            raise late.pop()
        return read(*told)

    monkeypatch.setattr(store.disk, "read_json", reads)
    assert store.root() == empty_store and not late
    (empty_store / store.MARKER).unlink()
    with pytest.raises(ValueError, match="format 1"):
        store.root()


def test_an_entry_that_a_run_looks_at_is_noted_once(empty_store, monkeypatch, tmp_path):
    store.note_use("tuned/none")  # nobody asked for it
    monkeypatch.setenv(store.USED, str(tmp_path / "new" / "used"))
    for name in ("tuned/a", "tuned/b", "tuned/a"):
        store.note_use(name)
    assert (tmp_path / "new" / "used").read_text() == "tuned/a\ntuned/b\n"
