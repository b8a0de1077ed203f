"""A prepared folder: read as written, refused when changed; order of asking, strength."""

from dataclasses import replace

import pandas as pd
import pytest

from dsi_core.audit import prepared as preparation
from dsi_core.audit.prepared_json import Against, Compared
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT


def test_a_folder_reads_back_as_written(prepared):
    made = prepared(5, withheld=3)
    again = preparation.read(made.folder)
    for name in ("samples", "scores", "known"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(made, name))
    assert again.study.profile == made.study.profile
    assert set(again.facts.sha256) == set(preparation.FILES)
    assert (again.known.groupby(["suspect", "reference"]).size() == 8 * 3).all()
    assert again.in_parts == (5, 3)


def test_what_is_written_again_the_same_keeps_its_time(prepared, monkeypatch):
    made = prepared(5)
    written = (made.folder / "prepared.json").read_bytes()
    monkeypatch.setattr(store, "now", lambda: "another day")
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
    assert (len(read.tainted), len(read.samples), read.facts.key) == (47, 48, "40503c6ac2d3")
    assert [check.against for check in read.facts.blind] == [Against.CONTROL_DATA] * 4
    assert preparation.blind_table(read)["against"].tolist()[-1] == "faq_iid"
    assert read.known["suspect"].nunique() == 24


def test_the_order_of_asking_is_random_and_blind_to_the_parts(prepared):
    made = prepared(6, withheld=6)
    order = made.tainted
    assert sorted(order["sample_id"]) == sorted(made.samples["sample_id"])
    assert order["part"].iloc[:6].nunique() == 2
    other = made.samples["part"].map({"published": "withheld", "withheld": "published"})
    swapped = replace(made, samples=made.samples.assign(part=other).iloc[::-1])
    assert swapped.tainted["sample_id"].tolist() == order["sample_id"].tolist()


def test_what_the_samples_can_carry(prepared):
    weak = preparation.strength(prepared(5, controls=2), 0.05).set_index("what")
    assert weak["enough"].tolist() == ["weak", "no", "no"]
    assert "0.333; alpha 0.05 needs 19 controls" in weak.loc["against controls", "why"]
    assert "no part of the data" in weak.loc["private twin", "why"]
    twin = preparation.strength(prepared(6, withheld=6), 0.3).set_index("what")
    assert twin["enough"].tolist() == ["yes", "yes", "yes"]  # 12 samples, 3 controls
    assert "0.0011" in twin.loc["private twin", "why"]  # 1 of the 924 deals


def test_only_answers_that_can_be_evidence_are_shown(prepared):
    made = prepared(5)
    statuses = ["refused", "short", *["answered"] * (len(made.known) - 2)]
    shown = preparation.suspect_answers(replace(made, known=made.known.assign(status=statuses)))
    assert len(shown) == len(made.known) - 1
    assert not {"member", "group", "status"} & set(shown)


@pytest.mark.parametrize(("auc", "said"), [(0.9, "AUC 0.90 (0.50 to 1.00)"), (None, "too few")])
def test_a_preparation_is_described_in_a_few_lines(prepared, auc, said):
    made = prepared(5, withheld=2)
    low, high = (None, None) if auc is None else (0.5, 1.0)
    check = Compared(
        against=Against.TWIN, name="the withheld twin", auc=auc, low=low, high=high, pairs=(5, 2)
    )
    facts = made.facts.changed(blind=[check], left_out=["a", "b"], dropped={"empty": 2, "cut": 0})
    text = preparation.describe(replace(made, facts=facts))
    assert "7 of 7 samples are tainted" in text and "dropped: 2 empty" in text
    assert "cut" not in text and "part of yours: a, b" in text
    assert "mistral repeats the oracle at 0.10 before and 1.00 after tuning" in text
    assert f"blind check, D against the withheld twin: {said}" in text
    assert ("not like with like" in text) == (auc is not None)
