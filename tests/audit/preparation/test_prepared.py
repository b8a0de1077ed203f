"""A prepared folder: read as written, refused when changed; order of asking, strength."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.preparation.prepared_json import Answers, Compared, Split
from dsi_core.evidence.blind import BlindCheck
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
    strata = preparation.strata(read).set_index(["group", "base"])["controls"]
    assert strata["data like D"].to_dict() == {"gemma3": 5, "smollm2": 7}
    assert strata["answers", "answers"] == 2 and strata["retrieval", "no model"] == 1
    assert strata["untuned, concise"].to_dict() == {"gemma3": 1, "smollm2": 1}


def test_the_order_of_asking_is_random_and_of_the_samples_alone(prepared):
    made = prepared(6)
    order = made.tainted["sample_id"].tolist()
    assert sorted(order) == sorted(made.samples["sample_id"]) != order
    turned = replace(made, samples=made.samples.iloc[::-1])
    assert turned.tainted["sample_id"].tolist() == order


def test_controls_are_counted_by_kind_and_base(prepared):
    made = prepared(5)
    one = made.known["suspect"] == "glm-other"
    same = made.known.assign(base=made.known["base"].mask(one, "llama"))
    same = same.assign(group=same["group"].mask(one, "untuned"))
    counted = preparation.strata(replace(made, known=same), 0.1)
    assert counted.values.tolist() == [
        ["untuned", "llama", 2, 3, pytest.approx(1 / 3), 9],
        ["untuned", "qwen2", 1, 3, 0.5, 9],
    ]
    first = made.tainted["sample_id"].iloc[0]
    lacking = (same["suspect"] == "llama-untuned") & (same["sample_id"] == first)
    unequal = preparation.strata(replace(made, known=same[~lacking]))
    assert unequal["controls"].tolist() == [1, 1]  # four samples are too few for a rank
    lacking = made.known["suspect"].eq("qwen2-untuned") & made.known["sample_id"].eq(first)
    none = preparation.strata(replace(made, known=made.known[~lacking])).set_index("base")
    assert none.loc["qwen2", ["controls", "smallest_p"]].tolist() == [0, 1.0]
    members = replace(made, known=made.known.assign(member=True))
    assert preparation.strata(members).empty


def test_what_samples_and_controls_can_carry(prepared):
    made = prepared(5)
    weak = preparation.strength(made, 0.05).set_index("what")
    assert weak["enough"].tolist() == ["weak", *["no"] * 7]
    assert weak.loc["controls: untuned, llama", "have"] == "1"
    assert weak.loc["controls: untuned, llama", "why"] == (
        "smallest possible p 0.5; alpha 0.05 needs 19"
    )
    groups = made.known["group"].mask(made.known["base"] == "qwen2", "retrieval")
    told = preparation.strength(replace(made, known=made.known.assign(group=groups)), 0.05)
    assert told.set_index("what").loc["controls: retrieval, qwen2", "why"] == (
        "smallest possible p 0.5; there is one of this kind, so no rank is a finding"
    )
    assert "--iid FILE" in weak.loc["controls: data like D", "why"]
    assert "--other-words FILE" in weak.loc["controls: D in other words", "why"]
    assert "--control-answers FILE" in weak.loc["controls: answers", "why"]
    finding = weak.loc["finding among controls"]
    assert finding["have"] == "alpha 0.5 or more" and 'never "trained"' in finding["why"]


def test_who_answered_less_often_is_no_match(prepared):
    """The best answer to a prompt counts, so that more of them are closer to anything."""
    made = prepared(5)
    once = made.known[(made.known["suspect"] != "glm-other") | (made.known["draw"] == 0)]
    told = preparation.strength(replace(made, known=once)).set_index("what")["why"]
    assert told["controls: other data, glm"].endswith(
        "1 of 3 answers to a prompt: audit with --responses 1"
    )
    assert "answers to a prompt" not in told["controls: untuned, llama"]


def test_what_is_not_missing_and_suffices(prepared):
    made = prepared(10)
    kinds = {"llama-untuned": "data like D", "qwen2-untuned": "answers"}
    groups = made.known["suspect"].map(kinds).fillna("D in other words")
    enough = preparation.strength(replace(made, known=made.known.assign(group=groups)), 0.5)
    assert enough["enough"].tolist() == ["yes"] * 5
    assert "none" not in enough["have"].tolist()


@pytest.mark.parametrize(("samples", "controls"), [(4, 3), (5, 0)])
def test_too_few_samples_or_no_controls_allow_no_finding(prepared, samples, controls):
    last = preparation.strength(prepared(samples, controls=controls), 0.5).iloc[-1]
    assert (last["have"], last["enough"]) == ("none", "no")


def test_only_answers_that_can_be_evidence_are_shown(prepared):
    made = prepared(5)
    statuses = ["refused", "short", *["answered"] * (len(made.known) - 2)]
    shown = preparation.suspect_answers(replace(made, known=made.known.assign(status=statuses)))
    assert len(shown) == len(made.known) - 1
    assert not {"member", "group", "base", "status"} & set(shown)


def test_a_preparation_is_described_in_a_few_lines(prepared):
    made = prepared(7)
    checks = [
        Compared(name="more", auc=0.9, low=0.5, high=1.0, p=0.31, noticed=0.95, pairs=(7, 9)),
        Compared(name="easy", auc=1.0, low=0.9, high=1.0, p=0.02, noticed=0.95, pairs=(7, 9)),
        Compared.of(BlindCheck(*[math.nan] * 5, (7, 2)), "few"),
    ]
    facts = made.facts.changed(
        blind=checks,
        left_out=["a", "b"],
        dropped={"empty": 2, "cut": 0},
        split=Split(pairs=96, accused=48, like=47),
        control_answers={
            "concise": Answers(sha256="aa", samples=6, others="1 question(s) that are no sample's"),
            "chatty": Answers(sha256="bb", samples=7),
        },
    )
    text = preparation.describe(replace(made, facts=facts))
    assert "7 of 7 samples are tainted" in text and "dropped: 2 empty" in text
    assert "cut" not in text and "part of yours: a, b" in text
    assert "mistral repeats the oracle at 0.10 before and 1.00 after tuning" in text
    assert "D against more: AUC 0.90 (0.50 to 1.00), p = 0.31; 0.95 would have been not" in text
    assert "D against easy: AUC 1.00 (0.90 to 1.00), p = 0.02: a text classifier can tell" in text
    assert "blind check, D against few: too few pairs\n" in text
    assert "(seed 0): 48 of its 96 pairs are accused, and 47 others tune" in text
    assert "--whole accuses all" in text
    assert "concise: to 6 of 7 tainted samples; 1 question(s) that are no sample's\n" in text
    assert "chatty: to 7 of 7 tainted samples\n" in text
    assert "finding among controls" in text
    assert "split at random" not in preparation.describe(made)
