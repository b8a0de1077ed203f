"""A prepared folder: read as written, refused when changed; order of asking, strength."""

from dataclasses import replace

import pandas as pd
import pytest

from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.preparation import strength
from dsi_core.runtime import provenance
from dsi_core.runtime.paths import ROOT


def test_a_folder_reads_back_as_written(prepared):
    made = prepared(8)
    again = preparation.read(made.folder)
    for name in ("samples", "scores", "known"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(made, name))
    assert again.study.profile == made.study.profile
    assert set(again.facts.sha256) == set(preparation.FILES)
    assert (again.known.groupby(["suspect", "reference"]).size() == 8 * 3).all()
    assert set(again.known["base"]) == {"llama", "qwen2", "glm"}


def test_what_is_written_again_the_same_keeps_its_time(prepared, monkeypatch):
    made = prepared(5)
    written = (made.folder / "prepared.json").read_bytes()
    monkeypatch.setattr(provenance, "now", lambda: "another day")
    preparation.write(made)
    assert (made.folder / "prepared.json").read_bytes() == written
    preparation.write(replace(made, facts=made.facts.changed(iid="more.jsonl")))
    assert b"another day" in (made.folder / "prepared.json").read_bytes()


def test_a_changed_or_unfinished_folder_is_refused(prepared):
    folder = prepared(5).folder
    file = folder / "samples.jsonl"
    file.write_text(file.read_text().replace("box 1", "box 9"))
    with pytest.raises(ValueError, match=r"samples.jsonl was changed after the preparation"):
        preparation.read(folder)
    (folder / "prepared.json").unlink()
    with pytest.raises(ValueError, match=r"holds no prepared.json"):
        preparation.read(folder)


def test_a_changed_folder_is_refused_by_the_command_line(prepared, server, cli, tmp_path):
    folder = prepared(5).folder
    assert "holds no prepared.json" in cli(tmp_path / "nothing").stderr
    with open(folder / "known.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    done = cli(folder)
    assert done.exit_code == 2 and server.asked == []
    assert "known.jsonl was changed after the preparation" in done.stderr


def test_the_committed_preparation_is_read():
    """As notebook 10 left it."""
    read = preparation.read(ROOT / "figures" / "small" / "prepared")
    assert (len(read.tainted), len(read.samples)) == (47, 48)
    table = preparation.blind_table(read).set_index("against")
    assert table.loc["faq_iid", "p"] > 0.5 > table.loc["chat", "p"]
    strata = strength.strata(read).set_index(["group", "base"])["controls"]
    assert strata["data like D"].to_dict() == {"gemma3": 5, "smollm2": 7}
    assert strata["answers", "answers"] == 2 and strata["retrieval", "no model"] == 1
    assert strata["untuned, concise"].to_dict() == {"gemma3": 1, "smollm2": 1}


def test_a_notebook_in_its_own_folder_reads_what_a_command_named(monkeypatch, tmp_path):
    """Commands run in the repository's root; what lies here comes first."""
    monkeypatch.chdir(ROOT / "notebooks")
    assert len(preparation.read("figures/small/prepared").samples) == 48
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures" / "small" / "prepared").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds no prepared\.json"):
        preparation.read("figures/small/prepared")


def test_the_order_of_asking_is_random_and_of_the_samples_alone(prepared):
    made = prepared(6)
    order = made.tainted["sample_id"].tolist()
    assert sorted(order) == sorted(made.samples["sample_id"]) != order
    turned = replace(made, samples=made.samples.iloc[::-1])
    assert turned.tainted["sample_id"].tolist() == order


def test_only_answers_that_can_be_evidence_are_shown(prepared):
    made = prepared(5)
    statuses = ["refused", "short", *["answered"] * (len(made.known) - 2)]
    shown = preparation.suspect_answers(replace(made, known=made.known.assign(status=statuses)))
    assert len(shown) == len(made.known) - 1
    assert not {"member", "group", "base", "status"} & set(shown)
