"""What the tainted samples and the controls of a preparation can carry, and how it is said."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from dsi_core.audit.preparation import strength
from dsi_core.audit.preparation.prepared_json import Answers, Compared, Split
from dsi_core.evidence.blind import BlindCheck


def test_controls_are_counted_by_kind_and_base(prepared):
    made = prepared(5)
    one = made.known["suspect"] == "glm-other"
    same = made.known.assign(base=made.known["base"].mask(one, "llama"))
    same = same.assign(group=same["group"].mask(one, "untuned"))
    counted = strength.strata(replace(made, known=same), 0.1)
    assert counted.values.tolist() == [
        ["untuned", "llama", 2, 3, pytest.approx(1 / 3), 9],
        ["untuned", "qwen2", 1, 3, 0.5, 9],
    ]
    first = made.tainted["sample_id"].iloc[0]
    lacking = (same["suspect"] == "llama-untuned") & (same["sample_id"] == first)
    unequal = strength.strata(replace(made, known=same[~lacking]))
    assert unequal["controls"].tolist() == [1, 1]  # four samples are too few for a rank
    lacking = made.known["suspect"].eq("qwen2-untuned") & made.known["sample_id"].eq(first)
    none = strength.strata(replace(made, known=made.known[~lacking])).set_index("base")
    assert none.loc["qwen2", ["controls", "smallest_p"]].tolist() == [0, 1.0]
    members = replace(made, known=made.known.assign(member=True))
    assert strength.strata(members).empty


def test_what_samples_and_controls_can_carry(prepared):
    made = prepared(5)
    weak = strength.table(made, 0.05).set_index("what")
    assert weak["enough"].tolist() == ["weak", *["no"] * 8]
    assert weak.loc["controls: untuned, llama", "have"] == "1"
    assert weak.loc["controls: untuned, llama", "why"] == (
        "smallest possible p 0.5; alpha 0.05 needs 19"
    )
    groups = made.known["group"].mask(made.known["base"] == "qwen2", "retrieval")
    told = strength.table(replace(made, known=made.known.assign(group=groups)), 0.05)
    assert told.set_index("what").loc["controls: retrieval, qwen2", "why"] == (
        "smallest possible p 0.5; there is one of this kind, so no rank is a finding"
    )
    assert "--iid FILE" in weak.loc["controls: data like D", "why"]
    assert "--other-words FILE" in weak.loc["controls: D in other words", "why"]
    assert "--control-answers FILE" in weak.loc["controls: answers", "why"]
    assert "prepare again with --out" in weak.loc["controls: retrieval", "why"]
    finding = weak.loc["finding among controls"]
    assert finding["have"] == "alpha 0.5 or more" and 'never "trained"' in finding["why"]


def test_who_answered_less_often_is_no_match(prepared):
    """The best answer to a prompt counts, so that more of them are closer to anything."""
    made = prepared(5)
    assert strength.draws_allowed(made) == (3, "")
    once = made.known[(made.known["suspect"] != "glm-other") | (made.known["draw"] == 0)]
    told = strength.table(replace(made, known=once)).set_index("what")["why"]
    assert told["controls: other data, glm"].endswith(
        "1 of 3 answers to a prompt: an audit asks for no more"
    )
    assert "answers to a prompt" not in told["controls: untuned, llama"]


def test_an_audit_asks_for_no_more_answers_than_the_control_with_the_fewest_has(prepared):
    """Of one sample glm-other has two, of the others three; one of another is missing."""
    made = prepared(5)
    first, second = made.tainted["sample_id"].head(2)
    lacking = made.known["sample_id"].eq(first) & (
        made.known["suspect"].eq("glm-other") & made.known["draw"].eq(2)
    )
    silent = made.known["sample_id"].eq(second) & made.known["suspect"].eq("llama-untuned")
    fewer = replace(made, known=made.known[~lacking & ~silent])
    assert strength.draws_allowed(fewer) == (2, "glm-other")
    assert strength.strata(fewer).set_index("base")["draws"].to_dict() == {
        "llama": 3,
        "qwen2": 3,
        "glm": 2,
    }
    members = fewer.known.assign(member=fewer.known["suspect"].eq("glm-other"))
    assert strength.draws_allowed(replace(made, known=members)) == (3, "")
    assert strength.draws_allowed(prepared(5, controls=0, name="none")) == (3, "")


def test_controls_are_counted_by_the_answers_that_an_audit_asks_for(prepared):
    """Of glm-other there is one answer each; the first of llama-untuned lack for one sample."""
    made = prepared(5)
    later, first = made.known["draw"] > 0, made.known["draw"] == 0
    sample = made.known["sample_id"] == made.tainted["sample_id"].iloc[0]
    others = made.known["suspect"].eq("glm-other") & later
    short = made.known.assign(
        status=made.known["status"].mask(
            made.known["suspect"].eq("llama-untuned") & first & sample, "short"
        )
    )
    made = replace(made, known=short[~others])
    assert strength.draws_allowed(made) == (1, "glm-other")
    counted = strength.strata(made).set_index("base")["controls"]
    assert counted.to_dict() == {"llama": 0, "qwen2": 1, "glm": 1}  # four samples are too few


def test_innocents_that_the_vote_calls_members_are_named(prepared):
    """Of ten samples one control leans to the tuned references on six, another on five."""
    made = prepared(10)
    order = made.tainted["sample_id"].tolist()
    leaning = {"glm-other": order[:6], "llama-untuned": order[:5], "qwen2-untuned": []}
    gaps = [
        0.9 if sample in leaning[suspect] else -0.9
        for suspect, sample in zip(made.known["suspect"], made.known["sample_id"], strict=True)
    ]
    told = replace(made, known=made.known.assign(gap=gaps))
    assert strength.accused(told).values.tolist() == [["glm-other", 6, 4]]
    (said,) = strength.cautions(told)
    assert "calls 1 of the 3 innocent models members" in said and "glm-other (6 to 4);" in said
    more = told.known["suspect"].eq("llama-untuned") & told.known["sample_id"].isin(order[5:7])
    both = replace(told, known=told.known.assign(gap=told.known["gap"].mask(more, 0.9)))
    assert strength.accused(both)["model"].tolist() == ["llama-untuned", "glm-other"]  # 7, 6
    vote = strength.table(told).iloc[0]
    assert (vote["enough"], vote["why"]) == ("weak", "it calls 1 of these innocents members")
    assert strength.cautions(made) == [] and strength.table(made).iloc[0].enough == "yes"
    members = told.known.assign(member=told.known["suspect"].eq("glm-other"))
    assert strength.accused(replace(told, known=members)).empty


def test_of_many_innocents_that_the_vote_calls_members_five_are_named(prepared, monkeypatch):
    called = pd.DataFrame({"model": list("abcdefg"), "positive": 9, "negative": 1})
    monkeypatch.setattr(strength, "accused", lambda one: called)
    (said,) = strength.cautions(prepared(10))
    assert "negative samples): a (9 to 1), b (9 to 1)" in said
    assert "e (9 to 1) and 2 more; a suspect" in said


def test_outputs_that_are_too_short_to_count_carry_no_vote(prepared):
    """Of twelve samples three, then eight have outputs under 20 bytes: nine, then four are left."""
    made = prepared(12)
    for short, enough, finding in ((3, "weak", "alpha 0.5 or more"), (8, "weak", "none")):
        outputs = made.samples["output"].mask(pd.Series(range(12)) < short, "Yes.")
        told = strength.table(replace(made, samples=made.samples.assign(output=outputs)))
        vote = told.iloc[0]
        assert vote["have"] == f"12 of 12 samples tainted, {short} with outputs under 20 bytes"
        assert (vote["enough"], told.iloc[-1]["have"]) == (enough, finding)
    outputs = replace(made, samples=made.samples.assign(output="Yes."))
    assert strength.table(outputs).iloc[0].enough == "no"


def test_a_kind_without_answers_is_named(prepared):
    """Every answer of one control is blank, of another short."""
    made = prepared(6)
    told = made.known.assign(
        group=made.known["group"].mask(made.known["base"] == "glm", "retrieval")
    )
    for base, response, status in (("glm", "\u00ad" * 30, "empty"), ("qwen2", "No.", "short")):
        of_it = told["base"].eq(base)
        told = told.assign(
            response=told["response"].mask(of_it, response),
            status=told["status"].mask(of_it, status),
        )
    short, nothing = sorted(strength.cautions(replace(made, known=told)), key=len)
    assert "kind 'untuned' (qwen2)" in short and "p is 1 within it" in short
    assert "kind 'retrieval' (glm)" in nothing and "--iid" in nothing
    answers = told.assign(group=told["group"].mask(told["base"].eq("qwen2"), "retrieval"))
    assert "--iid" not in "".join(strength.cautions(replace(made, known=answers)))  # it found texts
    table = strength.table(replace(made, known=told)).set_index("what")
    assert table.loc["controls: retrieval, glm", "have"] == "0"
    assert table.loc["finding among controls", "have"] == "alpha 1 or more"


def test_an_innocent_that_is_no_control_is_named_where_others_of_its_kind_are(prepared):
    made = prepared(6)
    told = made.known.assign(base="llama", group="untuned")
    told["status"] = told["status"].mask(told["suspect"].eq("glm-other"), "empty")
    (said,) = strength.cautions(replace(made, known=told))
    assert said.startswith("glm-other: no control, as fewer than 5 samples have answers of it")
    assert strength.strata(replace(made, known=told))["controls"].tolist() == [2]


def test_what_is_not_missing_and_suffices(prepared):
    made = prepared(10, controls=5)
    kinds = ["data like D", "answers", "retrieval", *["D in other words"] * 2]
    names = dict(zip(made.known["suspect"].unique(), kinds, strict=True))
    groups = made.known["suspect"].map(names)
    enough = strength.table(replace(made, known=made.known.assign(group=groups)), 0.5)
    assert enough["enough"].tolist() == ["yes"] * len(enough)
    assert "none" not in enough["have"].tolist()


@pytest.mark.parametrize(("samples", "controls"), [(4, 3), (5, 0)])
def test_too_few_samples_or_no_controls_allow_no_finding(prepared, samples, controls):
    last = strength.table(prepared(samples, controls=controls), 0.5).iloc[-1]
    assert (last["have"], last["enough"]) == ("none", "no")


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
            "concise": Answers(sha256="aa", samples=6, others="1 question(s) beside the 9 rows"),
            "chatty": Answers(sha256="bb", samples=7),
        },
    )
    text = strength.describe(replace(made, facts=facts))
    assert "7 of 7 samples are tainted" in text and "dropped: 2 empty" in text
    assert "cut" not in text and "part of yours: a, b" in text
    assert "mistral repeats the oracle at 0.10 before and 1.00 after tuning" in text
    assert "D against more: AUC 0.90 (0.50 to 1.00), p = 0.31; 0.95 would have been not" in text
    assert "D against easy: AUC 1.00 (0.90 to 1.00), p = 0.02: a text classifier can tell" in text
    assert "blind check, D against few: too few pairs\n" in text
    assert "(seed 0): 48 of its 96 pairs are accused, and 47 others tune" in text
    assert "--whole accuses all" in text
    assert "concise: to 6 of 7 tainted samples; 1 question(s) beside the 9 rows\n" in text
    assert "chatty: to 7 of 7 tainted samples\n" in text
    assert "finding among controls" in text
    assert "split at random" not in strength.describe(made)
