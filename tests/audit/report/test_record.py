"""audit.json and its tables: what is written is what was concluded, and reads back the same."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import twins
from asking import member, sha256
from helpers import STRANGER, says

from dsi_core.audit import choices, conclusion, suspect
from dsi_core.audit.asking import run, storage, unanswered
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.judging import judge
from dsi_core.audit.report import record, report
from dsi_core.services import service
from dsi_core.services.billing import Lost


def test_the_numbers_read_back_as_they_were_judged(asked):
    plan, outcome = asked(member)
    audit = record.write(plan, outcome)
    judged, said = outcome.judgement, audit.facts
    assert said.vote == judged.vote and said.p == judged.p == judged.rank.p
    assert said.answer == judged.answer == "found" and said.reach == judged.reach
    assert (said.rank.p, said.rank.lean) == (judged.rank.p, judged.rank.lean)
    assert said.rank.supports == 0.5 and len(said.rank.strata) == 3
    assert said.kind == "after the fact" and said.letter == "C"
    assert said.exact is said.commitment is None and said.power == {}
    assert said.queried.ended is Ended.ALL_PROMPTED
    pd.testing.assert_frame_equal(audit.evidence, judged.evidence, check_dtype=False)
    pd.testing.assert_frame_equal(audit.curve, judged.curve, check_dtype=False)
    assert len(audit.answers) == 8 * 3 * 2 and audit.prepared.folder == plan.prepared.folder


def test_every_file_behind_the_numbers_is_listed(asked):
    """What was paid in vain and how a service was asked, too, where there is such a file."""
    plan, outcome = asked(member)
    others = {unanswered.NAME, service.NAME}
    folder = record.write(plan, outcome).folder
    assert not others & set(record.read(folder).facts.sha256)
    unanswered.add(folder, [(next(plan.samples.assign(draw=0).itertuples()), Lost(1, 1))])
    (folder / service.NAME).write_text("{}")
    hashes = record.write(plan, outcome).facts.sha256
    for name in others:
        assert hashes[name] == sha256(folder / name)
        assert f"{hashes[name]}  {name}\n" in (folder / record.SUMS).read_text()


def test_audit_json_is_read_by_people(asked):
    """Words for names; a number that is none is null."""
    plan, outcome = asked(member, count=4)
    folder = record.write(plan, outcome).folder
    said = json.loads((folder / "audit.json").read_text())
    assert said["format"] == 4 and said["answer"] == "cannot find" and said["exact"] is None
    assert said["queried"]["of at most"] == 4 and said["queried"]["ended"] == "all prompted"
    assert said["settings"]["answers to a prompt"] == 3
    method = said["settings"]["method"]
    assert method["controls were asked with"] == {"temperature": 1.0, "system": None}
    assert said["rank"]["lean"] is None  # four samples are too few for a statistic
    assert np.isneginf(outcome.judgement.rank.lean) and said["rank"]["p"] == 1.0
    assert said["sha256"]["evidence.csv"] == sha256(folder / "evidence.csv")
    assert said["root"] == sha256(folder / "files.sha256")


def test_a_record_from_before_samples_without_an_answer_were_ranked_is_read(asked):
    plan, outcome = asked(lambda s, d: s.output if s.Index else "")
    path = record.write(plan, outcome).folder / "audit.json"
    said = json.loads(path.read_text())
    assert said["rank of all"]["samples"] == said["rank"]["samples"] + 1 == 8
    path.write_text(json.dumps({k: v for k, v in said.items() if k != "rank of all"}))
    older = record.read(path.parent)
    assert older.facts.rank_of_all is None and "smallest evidence" not in report.page(older, {})


def test_audit_json_names_no_place_of_this_machine(asked, tmp_path):
    plan, outcome = asked(member)
    text = (record.write(plan, outcome).folder / "audit.json").read_text()
    assert str(tmp_path) not in text and str(tmp_path.parent) not in text


def test_an_audit_moves_with_its_preparation(asked, tmp_path):
    plan, outcome = asked(member)
    folder = record.write(plan, outcome).folder
    moved = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved"))
    audit = record.read(moved / folder.relative_to(tmp_path))
    assert audit.prepared.folder == moved / "boxes"
    shutil.rmtree(moved)


def test_an_audit_without_its_preparation_is_refused(asked, prepared):
    plan, outcome = asked(member)
    folder = record.write(plan, outcome).folder
    prepared(5)  # another one in its place
    with pytest.raises(ValueError, match=r"is not the preparation that .*audit.json was made with"):
        record.read(folder)
    shutil.rmtree(plan.prepared.folder)
    with pytest.raises(ValueError, match=r"holds no prepared.json"):
        record.read(folder)


def test_other_formats_and_broken_fields_are_refused(asked, tmp_path):
    with pytest.raises(ValueError, match=r"holds no audit.json: run `dsi audit`"):
        record.read(tmp_path)
    plan, outcome = asked(member)
    path = record.write(plan, outcome).folder / "audit.json"
    said = json.loads(path.read_text())
    for other, words in (
        ({**said, "format": 5}, ("audit.json is in format 5", "audit the suspect again")),
        ({k: v for k, v in said.items() if k != "format"}, ("is in format 1",)),
        ([], ("audit.json is damaged (it holds no JSON object)", "restore it from a copy")),
        ({**said, "p": "small"}, ("audit.json: 1 setting(s) refused", "p: ", "'small'")),
    ):
        path.write_text(json.dumps(other))
        with pytest.raises(ValueError) as caught:
            record.read(path.parent)
        says(caught, *words)


def test_an_audit_of_a_kit_that_got_no_answer_has_a_report(tmp_path):
    planned = choices.plan(
        twins.private(tmp_path, 8), *suspect.model("owner/name"), out=tmp_path / "o"
    )
    run.begin(planned)
    judged = judge.judge(planned, storage.answers(planned))
    audit = record.write(planned, run.Outcome(judged, None, Ended.BUDGET_SPENT))
    assert audit.facts.answer == "cannot find" and audit.facts.queried.samples == 0
    assert "Counted are 0 of 8 samples planned" in report.page(audit, {})


def test_the_suspect_stands_among_the_known_models(asked):
    plan, outcome = asked(member)
    table = record.known_models(record.write(plan, outcome))
    assert table["kind"].tolist()[0] == "the suspect" and len(table) == 4
    assert table["p"].iloc[0] == 0.5
    assert table["vote"].tolist() == ["member"] + ["non-member"] * 3


def test_a_suspect_with_a_known_models_name_stays_apart_from_it(asked):
    """An owner may audit, as a rehearsal, a model that the preparation knows."""
    plan, outcome = asked(member, name="llama-untuned")
    audit = record.write(plan, outcome)
    assert "llama-untuned" in set(audit.known["model"])
    table = record.known_models(audit)
    assert len(table) == 4 and table.set_index("kind").loc["the suspect", "positive"] == 8


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            None,
            "some-model answers more like a model tuned on boxes than these control models do "
            "(p = 0.5, the largest over 3 kinds and bases of them, alpha = 0.5)",
        ),
        (STRANGER, "No finding at alpha = 0.5 (p = 1, the largest over 3 kinds"),
        ("", "This audit cannot find anything at alpha = 0.5: 0 samples with a usable answer"),
    ],
)
def test_after_the_fact_nobody_is_said_to_be_trained(asked, answer, words):
    plan, outcome = asked(lambda s, d: s.output if answer is None else answer)
    said = conclusion.after(plan, outcome.judgement, {})
    assert words in said
    assert "trained" not in said and "paper's vote, which has no error rate" in said
