"""The offline phase for any dataset: who is innocent, what is private, what is refused."""

import os
import stat

import pytest
from helpers import says, write_jsonl

from dsi_core.audit import prepare
from dsi_core.audit import prepared as preparation
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import accusation
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data
from dsi_core.settings.words import IID, iid_of

PAIRS = [{"q": f"What is {i}?", "a": f"It is the number {i}."} for i in range(6)]


def test_controls_without_data_like_d_are_left_out(smoke):
    without = accusation.profile_of(smoke, "mine", smoke.data["other"], None, [])
    assert [s.name for s in without.suspects] == [
        c.name for c in smoke.controls if IID not in c.data
    ]
    with_more = accusation.profile_of(smoke, "mine", smoke.data["other"], smoke.data["terse"], [])
    assert len(with_more.suspects) == len(smoke.controls) == 5
    assert iid_of(with_more, "mine") == "mine_iid"
    assert with_more.responses.ask == "tainted" and with_more.victims == ["mine"]


def test_a_control_that_trained_on_some_of_d_is_no_control(smoke):
    pairs = load_pairs(dataset(smoke, "other"))
    mine = accusation.profile_of(smoke, "mine", smoke.data["other"], None, [])
    innocent = {s.name: prepare.is_innocent(mine, s, pairs) for s in mine.suspects}
    assert innocent == {
        "llama-untuned": True,
        "qwen2-untuned": True,
        "glm-other": False,
        "mistral-lora on terse": True,
    }


@pytest.fixture
def halves(tmp_path):
    """halves(first, last) = the sources of a published and a withheld part of `PAIRS`."""

    def source(name, rows):
        path = write_jsonl(tmp_path / f"{name}.jsonl", rows)
        return Data(path=str(path), prompt=["q"], output="a")

    return lambda first, last: (source("p", PAIRS[:first]), source("w", PAIRS[last:]))


def test_both_parts_in_an_order_that_tells_nothing(smoke, halves):
    parts = prepare.both_parts(smoke, *halves(4, 4))
    pairs = parts.pairs
    assert pairs["sample_id"].is_monotonic_increasing
    assert pairs["part"].value_counts().to_dict() == {"published": 4, "withheld": 2}
    withheld = pairs.loc[pairs["part"] == "withheld", "output"]
    assert set(withheld) == {"It is the number 4.", "It is the number 5."}
    assert parts.near_duplicates == 0


def test_a_pair_in_both_parts_is_refused(smoke, halves):
    words = "1 pair.s. are both published and withheld, the first: 'What is 3"
    with pytest.raises(ValueError, match=words):
        prepare.both_parts(smoke, *halves(4, 3))


def test_an_audit_by_the_released_rule_is_refused(tmp_path):
    with pytest.raises(ValueError) as error:
        prepare.run("dozen", "smoke", out=tmp_path, rule="released")
    says(error, "decision.rule is 'released'", "rule: text")
    assert not list(tmp_path.iterdir())


def test_an_occupied_folder_is_refused_before_anything_is_trained(prepared, monkeypatch):
    folder = prepared(5).folder
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    with pytest.raises(ValueError, match="holds a preparation with other data or settings"):
        prepare.run("dozen", "smoke", out=folder)


def test_the_pairs_of_another_twin_are_kept(smoke, halves, tmp_path):
    pairs = prepare.both_parts(smoke, *halves(4, 4)).pairs
    path = tmp_path / prepare.PAIRS
    prepare._written(path, pairs, replace=False)
    before = path.read_text(encoding="utf-8")
    prepare._written(path, pairs, replace=False)  # the same again
    with pytest.raises(ValueError, match="choose another folder with --out"):
        prepare._written(path, pairs[1:], replace=False)
    assert path.read_text(encoding="utf-8") == before and before.count("\n") == 6
    prepare._written(path, pairs[1:], replace=True)
    assert path.read_text(encoding="utf-8").count("\n") == 5


def test_a_dataset_may_not_take_anothers_name(tmp_path):
    assert "other" in load_profile("smoke").data
    file = write_jsonl(tmp_path / "other.jsonl", PAIRS)
    with pytest.raises(ValueError, match="has another dataset 'other'; rename the file"):
        prepare.run(str(file), "smoke", out=tmp_path / "o")


@pytest.fixture
def few(smoke, monkeypatch):
    """The profile smoke with one reference and one control, which are hardly tuned, and here."""
    monkeypatch.setenv("DSI_WORKERS", "0")
    less = smoke.changed(
        references=smoke.references[:1],
        controls=smoke.controls[:1],
        suspects=[],
        reference_sets={},
        imitation=None,
        recipes={name: recipe.changed(epochs=1) for name, recipe in smoke.recipes.items()},
        decision={"delta_t": -2.0},  # every sample is tainted
    )
    monkeypatch.setattr(prepare, "load_profile", lambda name, **_: less)
    return less


@pytest.mark.usefixtures("few", "one_thread")
def test_a_twin_is_private_and_its_preparation_can_be_moved(tmp_path, monkeypatch):
    """On eight pairs, with real models: what holds withheld texts is the owner's alone."""
    monkeypatch.chdir(tmp_path)
    boxes = [{"q": f"What is in box {i}?", "a": f"There is a number {i} in it."} for i in range(8)]
    published = write_jsonl(tmp_path / "mine.jsonl", boxes[:5])
    withheld = write_jsonl(tmp_path / "twin.jsonl", boxes[5:])
    done = prepare.run(str(published), "smoke", withheld=str(withheld))
    folder = tmp_path / "audits" / "mine_and_twin" / "prepared"
    assert done.folder.resolve() == folder
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.glob("*.json*")}
    private = {"pairs.jsonl", "samples.jsonl", "references.jsonl", "known.jsonl"}
    assert {name for name, mode in modes.items() if mode == 0o600} == private
    assert set(modes) - private == {"prepared.json"}
    assert done.samples["part"].value_counts().to_dict() == {"published": 5, "withheld": 3}

    said = (folder / "prepared.json").read_text()
    assert str(tmp_path) not in said and '"path": "./pairs.jsonl"' in said
    assert '"withheld": "../../../twin.jsonl"' in said
    assert '"path": "params/smoke/unrelated.jsonl"' in said
    assert preparation.read(tmp_path / "audits" / "mine_and_twin").facts == done.facts

    elsewhere = tmp_path / "a" / "b"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    moved = preparation.read(elsewhere)
    assert moved.facts == done.facts
    assert moved.study.profile.data["mine_and_twin"].path == str(elsewhere / "pairs.jsonl")
    # nothing is tuned or asked again: the same key is found in the folder, the rest in the store
    again = prepare.run(str(published), "smoke", withheld=str(withheld), out=elsewhere)
    assert again.facts.key == done.facts.key
    assert again.facts.sha256 == done.facts.sha256


def test_a_published_dataset_is_no_secret(prepared):
    before = os.umask(0o022)
    try:
        folder = prepared(5).folder
    finally:
        os.umask(before)
    assert {stat.S_IMODE(f.stat().st_mode) for f in folder.glob("*.jsonl")} == {0o644}


def test_the_profiles_own_preparation_is_read_where_it_is(monkeypatch, prepared):
    folder = prepared(5)
    monkeypatch.setattr(prepare, "ROOT", folder.folder.parent)
    place = folder.folder.parent / "figures" / "smoke"
    place.mkdir(parents=True)
    folder.folder.rename(place / "prepared")
    monkeypatch.setattr(prepare, "run", lambda *_, **__: pytest.fail("it was prepared again"))
    assert prepare.of_profile("smoke").facts == folder.facts
