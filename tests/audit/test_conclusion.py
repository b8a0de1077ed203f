"""What is said after the fact beside rank and vote, and what a finding there rests on."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from asking import answered, knows, member, plan
from helpers import STRANGER, write_jsonl

from dsi_core.audit import caveats, choices, conclusion
from dsi_core.audit.asking import run
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.judging.judgement import Answer, Vote
from dsi_core.audit.report import details, first_page, record, report
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.method.participants import Membership

ROUGH = "I do not know of this box {box}."  # leans to the untuned references, less than STRANGER


def rough(sample, draw):
    return ROUGH.format(box=sample.prompt[15:-1])


def said(planned, outcome) -> str:
    return conclusion.after(planned, outcome.judgement, {})


def test_a_finding_that_leans_to_nothing_says_so(asked, tmp_path):
    """It ranks before controls that lean even less; a member leans."""
    planned, outcome = asked(rough)
    judged = outcome.judgement
    assert judged.answer is Answer.FOUND and judged.rank.lean < 0
    assert (judged.evidence["evidence"] < 0).all()
    told = f"Its lean is {judged.rank.lean:+.2g}, not above 0"
    assert told in said(planned, outcome)
    other = asked(member, out=tmp_path / "member")
    assert other[1].judgement.found and "lean is" not in said(*other)
    stranger = asked(lambda s, d: STRANGER, out=tmp_path / "stranger")
    assert stranger[1].judgement.rank.lean < 0 and "lean is" not in said(*stranger)


@pytest.mark.parametrize(("lean", "told"), [(-0.01, True), (0.0, True), (0.01, False)])
def test_a_lean_is_one_above_0_however_small(lean, told):
    plan = SimpleNamespace(subject=SimpleNamespace(name="boxes"))
    judged = SimpleNamespace(found=True, rank=SimpleNamespace(lean=lean))
    said = conclusion._of_lean(plan, judged)
    assert len(said) == told
    assert not told or f"Its lean is {lean:+.2g}, not above 0: in the mean its" in said[0]


def test_a_finding_that_hangs_on_samples_without_an_answer_says_so(asked, tmp_path):
    """Eleven of sixteen blank, the first ones: with the least evidence there it ranks last."""
    cases = {
        "most": (16, lambda s, d: "" if s.Index < 11 else rough(s, d), 11),
        "few": (8, lambda s, d: "" if s.Index < 2 else member(s, d), 2),
        "none": (8, member, 0),
    }
    told = {}
    for name, (count, answer, blank) in cases.items():
        planned, outcome = asked(answer, count=count, out=tmp_path / name)
        audit = record.write(planned, outcome)
        whole = audit.facts.rank_of_all
        assert audit.facts.answer is Answer.FOUND and audit.facts.rank.samples == count - blank
        assert whole.samples == count and whole.p == outcome.judgement.rank_of_all.p
        words = f"It hangs on the {blank} samples without a usable answer"
        first, later = " ".join(first_page.how_sure(audit)["said"]), details.otherwise(audit.facts)
        assert later in report.refused(audit)
        hangs = "The answer hangs on which texts count" in first
        assert (words in audit.facts.conclusion) == hangs == bool(later and later in first)
        told[name] = (hangs, later.rpartition(", ")[2])
    assert told == {
        "most": (True, "no finding."),
        "few": (False, "also a finding."),
        "none": (False, ""),
    }
    older = audit.facts.changed(rank_of_all=None)
    assert details.otherwise(older) == "" and not details.hangs_on_refusals(older)


def test_answers_that_are_no_evidence_are_counted_by_the_kinds_that_there_are():
    counts = {AnswerStatus.ANSWERED: 3, AnswerStatus.EMPTY: 0, AnswerStatus.REFUSED: 2}
    said = conclusion._no_evidence(SimpleNamespace(statuses=counts))
    assert said == ["Answers that are no evidence: 2 refused."]
    counts[AnswerStatus.REFUSED] = 0
    assert conclusion._no_evidence(SimpleNamespace(statuses=counts)) == []


def test_canned_texts_are_counted_after_the_fact_too(asked, tmp_path):
    """Answers, not their gaps to each reference; whether something is found or not."""
    canned = {"found": "Who knows? Maybe the box is empty, or so.", "no finding": STRANGER}
    for answer, text in canned.items():
        planned, outcome = asked(lambda s, d, text=text: text, out=tmp_path / answer)
        assert outcome.judgement.answer == answer
        words = "24 usable answers are texts that came to more than 3 prompts."
        assert words in said(planned, outcome)
    assert "more than 3 prompts" not in said(*asked(member, out=tmp_path / "own"))


@pytest.mark.parametrize(
    ("answer", "alpha", "positive", "told"),
    [
        (member, 0.5, 8, True),
        (member, 0.05, 8, True),
        (rough, 0.5, 0, True),
        (rough, 0.05, 0, False),
    ],
)
def test_a_vote_for_member_does_not_tell_learning_from_knowing(
    asked, answer, alpha, positive, told
):
    """Nor does a finding. It is said once, in the conclusion and beside the count."""
    planned, outcome = asked(answer, alpha=alpha)
    audit = record.write(planned, outcome)
    assert audit.facts.vote.positive == positive
    assert audit.facts.conclusion.count(caveats.NOT_KNOWLEDGE) == told
    assert report.how_decided(audit, {}).count(caveats.NOT_KNOWLEDGE) == told


@pytest.mark.parametrize(("answer", "count", "told"), [(member, 9, 1), (member, 10, 0), ("", 9, 0)])
def test_a_vote_on_few_samples_says_so(asked, answer, count, told):
    """As `dsi prepare` does; where nothing was counted there is nothing to decide."""
    planned, outcome = asked(answer or (lambda s, d: ""), count=count)
    audit = record.write(planned, outcome)
    assert audit.facts.conclusion.count(caveats.FEW) == told
    assert report.how_decided(audit, {}).count(caveats.FEW) == told


def test_the_thresholds_of_a_vote_are_the_profile_s(prepared):
    made = prepared(6)
    usual = caveats.vote_assumes(answered(made, member)[0])
    assert "delta_t = 0.3 for" in usual and "delta_s = 0.3 for" in usual
    baseline = made.study.profile.similarity.baseline
    assert f"(BERTScore F1, rescaled, baseline {baseline:.3g})" in usual
    other = made.study.changed(
        decision=made.study.profile.decision.changed(delta_t=0.1, delta_s=-0.5),
        similarity=made.study.profile.similarity.changed(rescale=False),
    )
    planned, outcome = answered(replace(made, study=other), member)
    own = caveats.vote_assumes(planned)
    assert "delta_t = 0.1 for" in own and "delta_s = -0.5 for" in own and "F1, raw)" in own
    assert "positive (evidence above delta_s = -0.5)" in said(planned, outcome)


def test_a_finding_in_a_file_is_said_on_a_condition(prepared, tmp_path):
    made = prepared(6)
    rows = [{"prompt": row.prompt, "response": row.output} for row in made.tainted.itertuples()]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    planned = choices.plan(made, "said", None, answers=file, out=tmp_path / "o", alpha=0.5)
    words = said(planned, run.run(planned))
    assert words.startswith("If the file holds its answers as they came, said answers more like")
    assert caveats.OF_A_FILE in caveats.assumption(planned)


def test_a_finding_with_the_data_before_the_questions_is_said_on_a_condition(prepared, server):
    """Where a text of the data stands there; that nothing was copied from others is assumed."""
    made = prepared(6)
    server.script = knows(made)
    told = {}
    for name, system in {
        "none": None,
        "other": "Be brief.",
        "data": made.tainted["output"][0],
    }.items():
        planned = plan(made, server, alpha=0.5, system=system, out=made.folder.parent / name)
        judged = run.run(planned).judgement
        assert judged.found
        told[name] = (
            conclusion.headline(planned, judged).split(planned.suspect)[0],
            caveats.COPIED_NOTHING in caveats.assumption(planned),
        )
    condition = "If it copied nothing that was put before the questions, "
    assert told == {"none": ("", False), "other": ("", True), "data": (condition, True)}


def test_a_preparation_is_its_maker_s_word(asked):
    planned, outcome = asked(member)
    audit = record.write(planned, outcome)
    assert caveats.OF_A_PREPARATION in audit.facts.assumptions[Kind.AFTER]
    assert "whoever makes or edits it" in report.how_sure(audit)


def test_a_larger_budget_is_offered_only_where_a_budget_ended_it(prepared, server):
    """Found after 5 of 12 samples, a rerun asks nobody."""
    made = prepared(12)
    server.script = knows(made)
    budget = plan(made, server, alpha=0.5, samples=12, stop_early=False, budget="18")
    outcome = run.run(budget)
    assert outcome.ended is Ended.BUDGET_SPENT
    assert "6 of 12 samples planned" in said(budget, outcome)
    assert "A rerun with a larger budget goes on" in said(budget, outcome)
    early = plan(made, server, alpha=0.5, out=made.folder.parent / "early")
    outcome = run.run(early)
    assert outcome.ended is Ended.STOPPED_EARLY and outcome.judgement.samples < 12
    assert "samples planned" in said(early, outcome) and "larger budget" not in said(early, outcome)


def test_a_preparation_made_again_has_a_log_of_its_own(prepared, tmp_path):
    """Audited with both, a suspect was audited once by either log; the first page says why."""
    for name in ("boxes", "again"):
        made = prepared(6, name=name)
        audit = record.write(*answered(made, member, out=tmp_path / f"audits-{name}"))
        shown = report.how_sure(audit)
        assert "This is audit 1 of 1 of this suspect with this preparation." in shown
        assert "prepared once more" in shown and "prepared once more" in report.audits(audit)


def test_a_vote_that_goes_against_controls_says_so(asked, tmp_path, monkeypatch):
    """Where it goes against the suspect."""
    called = pd.DataFrame({"model": ["a", "b"], "positive": [9, 8], "negative": [1, 2]})
    monkeypatch.setattr(conclusion.strength, "accused", lambda one: called)
    told = "It calls 2 of the control models, which never saw boxes, a member, too."
    assert told in said(*asked(member))
    assert told not in said(*asked(lambda s, d: STRANGER, out=tmp_path / "stranger"))
    monkeypatch.setattr(conclusion.strength, "accused", lambda one: called.head(0))
    assert "control models, which" not in said(*asked(member, out=tmp_path / "again"))


def test_a_tied_vote_goes_against_nobody(monkeypatch):
    called = pd.DataFrame({"model": ["a"], "positive": [9], "negative": [1]})
    monkeypatch.setattr(conclusion.strength, "accused", lambda one: called)
    plan = SimpleNamespace(prepared="boxes", subject=SimpleNamespace(name="boxes"))
    tied = Vote(Membership.INCONCLUSIVE, 5, 5, 0)
    assert conclusion._of_innocents(plan, tied) == conclusion.beside(tied, found=False) == []
    against = replace(tied, positive=6)
    assert len(conclusion._of_innocents(plan, against)) == 1
    assert conclusion.beside(against, found=False) == [caveats.NOT_KNOWLEDGE]
