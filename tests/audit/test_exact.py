"""Audits by a kit, of a served model: what is found, what is not, what cannot be, what is sent."""

import json
import stat
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pandas as pd
import pytest
import twins
from asking import answered, audits_of, plan
from asking import numbers as numbers_of
from helpers import STRANGER, write_jsonl
from servers import error, reply

from dsi_core.audit import caveats, choices, conclusion, plan_file, reach, suspect
from dsi_core.audit.asking import log, run, storage, unanswered
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.budget import Budget
from dsi_core.audit.dry_run import dry_run, summary
from dsi_core.audit.judging import judgement
from dsi_core.audit.judging.judgement import Answer
from dsi_core.audit.judging.kit import sensitivity
from dsi_core.audit.report import decided, details, first_page, record, report
from dsi_core.protect import kit as kits
from dsi_core.services.billing import Lost
from dsi_core.services.request import draw_seed


@pytest.fixture
def wording(tmp_path):
    return twins.wording(tmp_path, 8)


@pytest.fixture
def private(tmp_path):
    return twins.private(tmp_path, 8)


@pytest.fixture
def audit(options, monkeypatch, tmp_path):
    """audit(kit, *more) = the result of `dsi audit --kit`, called in tmp_path."""
    from typer.testing import CliRunner

    from dsi_core.cli import app

    monkeypatch.chdir(tmp_path)

    def call(kit, *more, suspect=True):
        whom = options if suspect else []
        return CliRunner().invoke(app, ["audit", "--kit", str(kit.folder), *whom, *more])

    return call


def facts(kit) -> dict:
    (found,) = audits_of(kit.folder).glob("*/audit.json")
    return json.loads(found.read_text())


# --- What is found, by hand --------------------------------------------------------------------


def test_who_says_what_a_coin_published_is_found(wording, server):
    """Eight coins, one look: of 256 ways to throw them only the true one fits so well."""
    server.script = twins.knows(wording)
    outcome = run.run(plan(wording, server, stop_early=False))
    judged = outcome.judgement
    assert judged.answer is Answer.FOUND and outcome.ended is Ended.ALL_PROMPTED
    assert judged.p == judged.exact.attainable == pytest.approx(1 / 256)
    assert [look.after for look in judged.exact.looks] == [8]
    signs = judged.evidence["first_published"].map({True: 1, False: -1})
    assert (judged.evidence["evidence"] * signs > 0).all()
    assert len(server.asked) == judged.answers == 8


def test_it_stops_asking_at_the_look_that_finds(wording, server):
    """After k samples a true deal beats all but 1 of 2^k, and 0.2 k / 8 is spent: first at 4."""
    server.script = twins.knows(wording)
    outcome = run.run(plan(wording, server, alpha=0.2))
    judged = outcome.judgement
    assert outcome.ended is Ended.STOPPED_EARLY and judged.samples == 4
    assert judged.p == pytest.approx(1 / 16) and judged.exact.found_after == 4
    assert [look.after for look in judged.exact.looks] == [1, 2, 3, 4]
    assert len(server.asked) == 4
    run.run(plan(wording, server, alpha=0.2))
    assert len(server.asked) == 4


def test_who_prefers_the_first_wording_of_everything_is_not_found(wording, server):
    server.script = twins.knows_all(wording)
    outcome = run.run(plan(wording, server))
    assert outcome.judgement.answer is Answer.NO_FINDING
    assert outcome.judgement.p > 0.2 and outcome.ended is Ended.ALL_PROMPTED


def test_who_knows_only_the_published_part_is_found(private, server):
    """Four of eight are published: 1 of the 70 deals of the labels."""
    server.script = twins.knows(private)
    judged = run.run(plan(private, server, stop_early=False)).judgement
    assert judged.answer is Answer.FOUND and judged.p == pytest.approx(1 / 70)
    by_label = judged.evidence.groupby("published")["evidence"]
    difference = by_label.mean()[True] - by_label.mean()[False]
    assert judged.exact.looks[0].statistic == pytest.approx(difference)


def test_who_knows_both_parts_is_not_found(private, server):
    """As close to every text: all deals of the labels are alike."""
    server.script = twins.knows_all(private)
    judged = run.run(plan(private, server)).judgement
    assert judged.answer is Answer.NO_FINDING and judged.p == 1.0


# --- What is sent ------------------------------------------------------------------------------


def test_of_a_wording_twin_published_prompts_alone_are_sent(wording, server):
    server.script = twins.knows(wording)
    run.run(plan(wording, server, stop_early=False))
    sent = {tuple(m["content"] for m in body["messages"]) for body in server.asked}
    assert sent == {(prompt,) for prompt in wording.rows["prompt"]}


def test_no_output_of_a_private_twin_is_sent(private, server):
    server.script = twins.knows(private)
    run.run(plan(private, server, stop_early=False))
    sent = json.dumps(server.asked)
    assert not any(text in sent for text in private.rows["text"])


@pytest.mark.parametrize("make", [twins.wording, twins.private])
def test_requests_tell_nothing_of_texts_that_are_kept_back(tmp_path, server, make):
    """An id is a hash of texts: what is made of it alone tells who guesses one that he is right."""
    kit = make(tmp_path, 8)
    server.script = twins.knows(kit)
    planned = plan(kit, server, stop_early=False)
    run.run(planned)
    sent, ids = {body["seed"] for body in server.asked}, planned.samples["sample_id"].tolist()
    asked = [(one, draw) for one in ids for draw in range(planned.draws)]
    guessed = {draw_seed(planned.subject.seed, *question) for question in asked}
    salted = {draw_seed(int(planned.subject.secret, 16), *question) for question in asked}
    assert sent == salted and not sent & guessed
    assert kit.commitment.private_sha256 != planned.subject.secret
    for seed in range(100):
        assert ids != pd.Series(sorted(ids)).sample(frac=1, random_state=seed).tolist()


def test_the_order_of_asking_is_blind_to_the_coin(tmp_path, server):
    for make in (twins.wording, twins.private):
        one, other = tmp_path / f"{make.__name__}-1", tmp_path / f"{make.__name__}-2"
        one.mkdir(), other.mkdir()
        kit, tossed_anew = make(one, 12), make(other, 12, salt=b"another salt".ljust(32))
        label = "first_published" if make is twins.wording else "published"
        assert kit.rows[label].tolist() != tossed_anew.rows[label].tolist()
        asked = [plan(k, server).samples["sample_id"].tolist() for k in (kit, tossed_anew)]
        assert asked[0] == asked[1] != sorted(asked[0])


# --- What it rests on --------------------------------------------------------------------------


def test_the_mean_of_controls_is_subtracted_per_sample(wording, server, tmp_path):
    """Two controls, one of which prefers the first wording of everything."""
    first = dict(zip(wording.rows["prompt"], wording.wordings["first"], strict=True))
    one = [{"prompt": prompt, "response": text} for prompt, text in first.items()]
    two = [{"prompt": prompt, "response": STRANGER} for prompt in first]
    files = [write_jsonl(tmp_path / "a.jsonl", one), write_jsonl(tmp_path / "b.jsonl", two)]
    server.script = twins.knows_all(wording)
    planned = plan(wording, server, control_answers=files, stop_early=False)
    judged = run.run(planned).judgement
    table = judged.evidence
    assert table["of_controls"].to_numpy() == pytest.approx(table["value"].to_numpy() / 2, abs=0.05)
    assert (table["evidence"] + table["of_controls"]).to_numpy() == pytest.approx(
        table["value"].to_numpy()
    )
    said = record.write(planned, run.run(planned)).facts.settings.control_answers
    assert set(said) == {"a.jsonl", "b.jsonl"}


def test_refused_answers_are_no_evidence_and_are_counted_apart(wording, server):
    """Of one sample every answer is a refusal, whatever the coin said."""
    first, healthy = plan(wording, server).samples.iloc[0], twins.knows(wording)
    refusal = reply("I'm sorry, but I can't help with that.")
    server.script = lambda prompt, n: refusal if prompt == first["prompt"] else healthy(prompt, n)
    whole = plan(wording, server, stop_early=False)
    judged = run.run(whole).judgement
    assert judged.statuses["refused"] == 1 and judged.exact.usable == 7
    assert sensitivity(whole, judged).usable == 8
    assert judged.p == pytest.approx(2 / 256)  # one coin no longer matters


def test_who_says_nothing_cannot_be_judged(wording, server):
    server.script = lambda prompt, n: reply(" ")
    judged = run.run(plan(wording, server)).judgement
    assert judged.answer is Answer.CANNOT and judged.p == 1.0 and judged.exact.usable == 0


@pytest.mark.parametrize("make", [twins.wording, twins.private])
def test_answers_that_have_nothing_in_common_with_d_find_nothing_and_have_no_power(tmp_path, make):
    """As in another language: each is usable, and however the coins had fallen it is no finding."""
    planned, outcome = answered(make(tmp_path, 8), lambda *_: "\u0416" * 60)
    judged = outcome.judgement
    assert judged.reach.samples == 8 and judged.reach.can_reach_alpha
    assert judged.answer is Answer.CANNOT and judged.says_nothing and judged.leans == 0
    facts = record.write(planned, outcome).facts
    assert facts.headline == (
        "This audit cannot find anything at alpha = 0.5: too few samples, 0 of 8 with a usable "
        f"answer, {conclusion.LEANS[planned.subject.kind]}."
    )
    assert facts.power == {} and "probability" not in facts.conclusion
    assert judged.canned == 8 and "came to more than" not in facts.conclusion
    assert not {caveats.SERVICE, caveats.ASKING, caveats.ASKING_PUBLISHED} & set(facts.limits)


def test_a_plan_whose_looks_come_after_its_budget_is_told_of_fewer_samples(tmp_path, server):
    planned = plan(twins.wording(tmp_path, 100), server, budget="6")
    words = summary(dry_run(planned))
    assert "cannot find anything" in words and "--samples plans no more than the budget" in words


def test_a_file_of_answers_is_a_suspect(wording, audit, tmp_path):
    """Nothing is asked; what the file lacks was not answered."""
    said = wording.rows[["prompt", "text"]].iloc[:-1]
    rows = [{"prompt": prompt, "response": text} for prompt, text in said.to_numpy()]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    done = audit(wording, "--answers", str(file), suspect=False)
    assert done.exit_code == 0, done.output
    found = facts(wording)
    assert found["answer"] == "found" and found["suspect"]["name"] == "said"
    assert found["exact"]["usable"] == 7 and found["settings"]["answers to a prompt"] == 1
    assert done.stdout.startswith("If the file holds its answers as they came, said was trained on")
    assert "1 of 2: reading the suspect's answers" in done.stderr
    assert "The file answers 7 of 8 samples planned" in done.stdout
    assumed = found["assumptions"]["wording twin"]
    assert "leaves answers out" in assumed and "Nothing else is assumed" not in assumed
    assert not {caveats.SERVICE, caveats.ASKING_PUBLISHED} & set(found["limits"])


def test_of_a_file_the_answers_that_an_interrupt_left_out_are_taken_over(wording, tmp_path):
    """Ctrl-C at the sixth of sixteen."""
    said = wording.rows[["prompt", "text"]].to_numpy()
    rows = [{"prompt": p, "response": t} for p, text in said for t in (text, STRANGER)]
    file, told_apart, numbers = write_jsonl(tmp_path / "said.jsonl", rows), run.told_apart, count()

    def interrupted(text):
        if next(numbers) == 5:
            raise KeyboardInterrupt
        return told_apart(text)

    whole, planned = (
        choices.plan(wording, "said", None, answers=file, out=tmp_path / name) for name in "ab"
    )
    wanted = run.run(whole)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "told_apart", interrupted)
        run.run(planned)
    assert len(storage.answers_in(planned.folder)) == 5
    assert numbers_of(run.run(planned)) == numbers_of(wanted)
    assert len(storage.answers(planned)) == wanted.judgement.answers == 16


def unevenly(kit, folder, of_published, of_others):
    """A file of strangers' answers, of a part with two more, the last of which is the text."""
    rows = []
    for prompt, text, published in kit.rows[["prompt", "text", "published"]].to_numpy():
        more = of_published if published else of_others
        rows += [
            {"prompt": prompt, "response": said} for said in [STRANGER, *[STRANGER, text] * more]
        ]
    return write_jsonl(folder / f"uneven-{of_published}-{of_others}.jsonl", rows)


def test_of_a_file_as_many_answers_count_to_every_sample(private, tmp_path):
    """The closest of more is closer by chance: their number must not be the coin's."""
    file = unevenly(private, tmp_path, 1, 0)
    said = (
        r"uneven-1-0.jsonl: has 1 to 3 answers .* the first 1 to each do, .* 8 of 16 are not used"
    )
    for _ in range(2):  # once more, and nothing is taken over again
        with pytest.warns(UserWarning, match=said):
            planned = choices.plan(private, "said", None, answers=file, out=tmp_path / "o")
        done = record.write(planned, run.run(planned))
        assert len(storage.answers_in(planned.folder)) == 16
        assert done.facts.answer is not Answer.FOUND and done.facts.p == 1
        assert (done.facts.queried.answers, done.facts.queried.left_out) == (8, 8)
    assert "(8 more do not count, as the closest" in report.who_asked_what(done)
    even = unevenly(private, tmp_path, 1, 1)
    planned = choices.plan(private, "said", None, answers=even, out=tmp_path / "o")
    done = record.write(planned, run.run(planned)).facts.queried
    assert (done.answers, done.left_out) == (24, 0)


def test_of_a_control_too(private, server, tmp_path):
    """Else one that knows what was withheld by its number of answers makes anybody a member."""
    file = unevenly(private, tmp_path, 0, 1)
    with pytest.warns(UserWarning, match="--control-answers .*has 1 to 3 answers to a sample"):
        planned = plan(private, server, control_answers=[file])
    assert planned.controls["response"].tolist() == [STRANGER] * 8


def test_what_a_file_answers_beside_the_samples_is_named_and_counts_nowhere(wording, tmp_path):
    """One of eight prompts has a blank too many; as the suspect, and as a control."""
    prompts = [*wording.rows["prompt"].iloc[:7], "What is in  box 7?"]
    rows = [{"prompt": prompt, "response": STRANGER} for prompt in prompts]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    named = r"has 1 question\(s\) beside the 8 samples: 'What is in  box 7.*do not count"
    with pytest.warns(UserWarning, match=named):
        planned = choices.plan(wording, "said", None, answers=file, out=tmp_path / "o")
    said = record.write(planned, run.run(planned)).facts
    assert "The file answers 7 of 8 samples planned, of which 7 have a usable" in said.conclusion
    assert (said.queried.samples, said.queried.of_at_most, said.queried.answers) == (7, 8, 7)
    with pytest.warns(UserWarning, match=named):
        choices.plan(wording, *suspect.model("owner/name"), control_answers=[file])


def test_nobody_is_asked_by_a_dry_run_of_a_file(wording, tmp_path):
    rows = [{"prompt": prompt, "response": STRANGER} for prompt in wording.rows["prompt"]]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    dry = dry_run(choices.plan(wording, "said", None, answers=file, out=tmp_path / "o"))
    assert (dry.queries, dry.at_most.tokens_read, dry.about.tokens_written) == (0, 0, 0)
    assert dry.within_budget.can_reach_alpha
    assert "nobody would be asked: the file answers 8 of 8 samples" in summary(dry)
    few = write_jsonl(tmp_path / "few.jsonl", rows[:3])
    dry = dry_run(choices.plan(wording, "few", None, answers=few, out=tmp_path / "o"))
    assert dry.within_budget.samples == 3 and not dry.within_budget.can_reach_alpha
    assert dry.conclusion.startswith("This audit cannot find anything") and dry.samples == 8
    assert "the file answers 3 of 8 samples" in summary(dry)


def test_with_control_answers_a_finding_is_theirs_too(tmp_path, server):
    """An accuser writes what was kept back: the innocent is found, and not without these."""
    for make in (twins.wording, twins.private):
        place = tmp_path / make.__name__
        place.mkdir()
        kit, rows = make(place, 20), []
        for row in kit.rows.to_dict("records"):
            kept_back = row["other"] or (STRANGER if row["published"] else row["text"])
            rows.append({"prompt": row["prompt"], "response": kept_back})
        forged = write_jsonl(place / "forged.jsonl", rows)
        server.script = lambda prompt, n: reply(prompt.replace("What is in", "I have not seen"))
        alone = plan(kit, server, stop_early=False, out=place / "alone")
        plain = record.write(alone, run.run(alone)).facts
        planned = plan(kit, server, stop_early=False, control_answers=[forged])
        audit = record.write(planned, run.run(planned))
        said, assumed = audit.facts, audit.facts.assumptions[planned.subject.kind]
        assert said.answer is Answer.FOUND and plain.answer is not Answer.FOUND
        assert said.headline.startswith("If the control answers were made without knowledge")
        assert caveats.OF_CONTROLS in assumed and caveats.NOTHING_ELSE not in assumed
        assert said.without_controls == plain.exact and plain.without_controls is None
        shown = " ".join(first_page.how_sure(audit)["said"])
        assert f"the same test gives p = {plain.p:.2g}, no finding" in shown
        assert caveats.NOTHING_ELSE in plain.assumptions[planned.subject.kind]


def test_who_copies_what_was_put_before_the_questions_is_found_on_a_condition(
    wording, server, tmp_path
):
    """An innocent, with the published texts in its system prompt."""
    lines = dict(zip(wording.rows["prompt"], wording.rows["text"], strict=True))
    server.script = lambda prompt, n: reply(
        lines[prompt]
        if lines[prompt] in server.asked[-1]["messages"][0]["content"]
        else f"I have not seen {prompt}"
    )
    for system, found in (("Answer with what you know.", False), ("\n".join(lines.values()), True)):
        planned = plan(wording, server, stop_early=False, system=system, out=tmp_path / str(found))
        audit = record.write(planned, run.run(planned))
        said = audit.facts
        assert (said.answer is Answer.FOUND) is found
        assert caveats.PUT_BEFORE in said.assumptions["wording twin"]
        assert said.headline.startswith("If it copied nothing") is found
        assert ("(8 published, 0 kept back)" in report.how_sure(audit)) is found


def test_whose_word_the_answers_are(wording, server, tmp_path):
    """Of a service and of a model here the examiner's; of a file it is an assumption."""
    rows = [{"prompt": prompt, "response": STRANGER} for prompt in wording.rows["prompt"]]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    plans = (
        plan(wording, server),
        choices.plan(wording, *suspect.model("owner/name")),
        choices.plan(wording, "said", None, answers=file),
    )
    told = [caveats.EXAMINER in caveats.limits(planned) for planned in plans]
    assert told == [True, True, False]
    lines = caveats.ASKING_PUBLISHED, caveats.SERVICE, caveats.LOCAL
    told = [[line in caveats.limits(planned) for line in lines] for planned in plans]
    assert told == [[True, True, False], [False, False, True], [False] * 3]
    told = [caveats.LOOKS_NOTHING_UP in caveats.assumption(planned) for planned in plans]
    assert told == [True, False, True]


def test_no_operator_stands_between_a_model_that_is_loaded_here_and_its_answers(wording, server):
    """Its answers are its own: nobody could have put others in their place."""
    here, outcome = answered(wording, lambda *_: STRANGER)
    judged = replace(outcome.judgement, answer=Answer.NO_FINDING)
    power = reach.power(here, here.samples, 8)
    for planned, said in ((plan(wording, server), True), (here, False)):
        assert (caveats.OF_HONEST_ANSWERS in conclusion.after(planned, judged, power)) is said


def test_kinds_of_answers_that_a_service_alone_brings_are_told_of_a_service(wording, server):
    """Of a model that is loaded here, or of a file, none can be withheld by a filter."""
    server.script = lambda prompt, n: reply(STRANGER)
    plans = {True: plan(wording, server), False: answered(wording, lambda *_: STRANGER)[0]}
    for served, planned in plans.items():
        audit = record.write(planned, run.run(planned))
        kinds = {row[0]: row[1] for row in details.refused(audit)["statuses"].rows}
        assert kinds["answered"] == 8 and ("filtered" in kinds) is ("failed" in kinds) is served
        assert {"empty", "refused", "thought"} <= set(kinds)


def test_how_old_a_kit_must_be_is_told_with_a_finding(tmp_path, prepared, server):
    for make in (twins.wording, twins.private):
        place = tmp_path / make.__name__
        place.mkdir()
        kit = make(place, 12)
        server.script = twins.knows(kit)
        planned = plan(kit, server)
        audit = record.write(planned, run.run(planned))
        assert caveats.AGE in audit.facts.limits and caveats.AGE in first_page.not_shown(audit)
    assert caveats.AGE not in caveats.limits(plan(prepared(6), server))


def test_a_split_of_the_owner_s_own_makes_a_finding_conditional(tmp_path, server):
    rows = [{k: v for k, v in row.items() if k != "answer2"} for row in twins.rows(12)]
    parts = [write_jsonl(tmp_path / f"{k}.jsonl", rows[k::2]) for k in (0, 1)]
    columns = {"prompt": ("question",), "output": "answer"}
    kit = kits.make(parts[0], tmp_path / "kit", withheld=parts[1], **columns)
    server.script = twins.knows(kit)
    planned = plan(kit, server, stop_early=False)
    said = record.write(planned, run.run(planned)).facts
    assert said.answer is Answer.FOUND and said.limits[0] == caveats.LATE
    assert said.headline.startswith("If a coin made the split, m-1 was trained on")


# --- What cannot be found ----------------------------------------------------------------------


def test_an_audit_that_cannot_succeed_says_so_first(wording, server, audit):
    """Four coins: no p below 1/16. In a dry run, and in the headline."""
    dry = audit(wording, "--samples", "4", "--dry-run", "--json")
    said = json.loads(dry.stdout)
    assert said["reach"] == {"samples": 4, "attainable": 1 / 16, "can reach alpha": False}
    assert said["conclusion"].startswith("This audit cannot find anything at alpha = 0.05")
    assert server.asked == [] and not audits_of(wording.folder).exists()
    server.script = twins.knows(wording)
    done = audit(wording, "--samples", "4")
    assert done.stdout.startswith("This audit cannot find anything at alpha = 0.05")
    before, _, _ = done.stderr.partition("answers are kept in")
    assert "This audit cannot find anything at alpha = 0.05: with 4 samples" in before
    assert facts(wording)["answer"] == "cannot find"


def test_a_budget_that_ends_before_the_only_look_is_told_before_it_is_spent(wording, server, audit):
    """Asked to the end there is one look, after all 8; who stops early looks sooner."""
    server.script = lambda prompt, n: reply(STRANGER)
    done = audit(wording, "--ask-all", "--budget", "6")
    assert done.exit_code == 0 and len(server.asked) == 6
    before, _, _ = done.stderr.partition("answers are kept in")
    assert "(the first is after sample 8). --stop-early looks on the way, too." in before
    again = audit(wording, "--ask-all")
    assert again.exit_code == 0 and "cannot find" not in again.stderr  # what is left suffices


def test_a_dry_run_knows_what_a_budget_leaves(wording, audit):
    said = json.loads(audit(wording, "--budget", "4", "--dry-run", "--json").stdout)
    assert said["reach"]["can reach alpha"] and not said["within budget"]["can reach alpha"]
    assert said["queries"] == 4 and said["samples"] == 8


@pytest.mark.parametrize("make", [twins.wording, twins.private])
def test_who_is_not_asked_enough_for_a_look_cannot_be_found(make, tmp_path, server, audit):
    """Seven of eight, where the only look is after all of them: whatever is answered."""
    kit = make(tmp_path, 8)
    how = ("--ask-all", "--budget", "7")
    said = json.loads(audit(kit, *how, "--dry-run", "--json").stdout)
    assert said["reach"]["can reach alpha"]
    assert said["within budget"] == {"samples": 7, "attainable": 1.0, "can reach alpha": False}
    dry = audit(kit, *how, "--dry-run").stdout
    assert "with probability" not in dry and "(the first is after sample 8)" in dry
    assert "m-1 would be asked 7 questions about 7 samples" in dry
    server.script = twins.knows(kit)
    assert audit(kit, *how).exit_code == 0
    found = facts(kit)
    assert (found["answer"], found["p"], found["exact"]["looks"]) == ("cannot find", 1.0, [])


def test_between_looks_only_those_taken_count(tmp_path, server):
    """Of 24 samples five are asked, with looks after 2, 4, 6, ...: p can be 1/16, and not 1/32.

    About that: its deals are random.
    """
    planned = plan(twins.wording(tmp_path, 24), server, alpha=0.5)
    assert planned.looks.after[:3] == (2, 4, 6)
    said = reach.reach(planned, planned.samples.head(5), 5)
    assert (said.samples, said.can_reach_alpha) == (5, True)
    assert said.attainable == pytest.approx(1 / 16, rel=0.2)
    assert not reach.reach(planned, planned.samples.head(1), 1).can_reach_alpha


def test_what_is_attainable_is_on_the_scale_of_p(tmp_path, server):
    """1/128 at a look that 8% of alpha is spent by is no less than 0.1, which finds nothing."""
    planned = plan(twins.wording(tmp_path, 100), server)
    assert planned.looks.after[:2] == (8, 16)
    said = reach.reach(planned, planned.samples.iloc[1:8], 8)
    assert said.attainable == pytest.approx(100 / 8 / 128, rel=0.2) and not said.can_reach_alpha
    words = conclusion.before(planned, said, said, {})
    assert f"no p-value can be below {said.attainable:.2g} at the looks by then" in words
    server.script = silent_at_first(planned)
    judged = run.run(replace(planned, budget=Budget(queries=8))).judgement
    assert judged.answer is Answer.CANNOT and judged.reach == said
    assert judged.p == judged.reach.attainable


def test_a_finding_is_possible_where_there_is_one(tmp_path, server):
    """1/128 is just more than may be spent by the look: whether a p fits, the random deals say."""
    planned = plan(twins.wording(tmp_path, 100), server, alpha=0.097)
    server.script = silent_at_first(planned)
    found = {}
    for seed in range(4):
        subject = replace(planned.subject, seed=seed)
        one = replace(planned, subject=subject, out=tmp_path / str(seed), budget=Budget(queries=8))
        judged = run.run(one).judgement
        assert judged.p == judged.reach.attainable
        assert judged.found == judged.reach.can_reach_alpha
        found[judged.found] = judged.reach
    assert len(found) == 2


def silent_at_first(planned):
    """A model that learnt what was published, and has no answer to the first prompt."""
    knows = twins.knows(kits.read(planned.subject.folder))
    first = planned.samples["prompt"][0]
    return lambda prompt, n: reply(" ") if prompt == first else knows(prompt, n)


def test_what_is_attainable_counts_coins_of_samples_without_an_answer(tmp_path):
    """Three published and two withheld of twelve answered: 35 of 924 deals label these so."""
    kit = twins.private(tmp_path, 12)
    chosen = pd.concat([kit.rows[kit.rows["published"]][:3], kit.rows[~kit.rows["published"]][:2]])
    for text, answer, p in (("text", Answer.FOUND, 35 / 924), (None, Answer.NO_FINDING, None)):
        said = (
            chosen["text"].where(chosen["published"], STRANGER) if text else chosen["text"].str[:20]
        )
        rows = chosen[["sample_id"]].assign(response=said).to_dict("records")
        file = write_jsonl(tmp_path / f"{text}.jsonl", rows)
        judged = run.run(
            choices.plan(kit, "file", None, answers=file, out=tmp_path / "o")
        ).judgement
        assert judged.reach.attainable == 35 / 924 and judged.reach.can_reach_alpha
        assert judged.answer is answer and (p is None or judged.p == pytest.approx(p))


def test_no_finding_says_what_would_have_been_found(wording, server, audit):
    server.script = twins.knows_all(wording)
    done = audit(wording)
    assert done.stdout.startswith("No finding at alpha = 0.05 (p = ")
    power = facts(wording)["power"]
    assert list(power)[:4] == ["1 epoch", "2 epochs", "3 epochs", "4 epochs"]
    assert power["1 epoch"]["found"] < power["4 epochs"]["found"]
    assert power["1 epoch"]["final loss"] > power["4 epochs"]["final loss"]
    assert f"{power['4 epochs']['found']:.2f}" in done.stdout


def test_canned_texts_are_counted_and_cost_power(tmp_path, server):
    """A member whose operator puts one text in place of 30 of 40 answers, others alike in 5."""
    kit = twins.wording(tmp_path, 40)
    prompts, healthy = plan(kit, server).samples["prompt"].tolist(), twins.knows_all(kit)
    canned = dict.fromkeys(prompts[:30], "Our pages tell it, in full!")
    canned |= {prompt: f"There is none in {prompt[11:]}" for prompt in prompts[30:35]}
    server.script = lambda prompt, n: (
        reply(canned[prompt]) if prompt in canned else healthy(prompt, n)
    )
    planned = plan(kit, server, stop_early=False)
    outcome = run.run(planned)
    judged = outcome.judgement
    assert judged.answer is Answer.NO_FINDING and judged.exact.usable == 40
    again = judgement.repeated(judged)["sample_id"]
    assert set(again) == set(planned.samples["sample_id"].head(30))
    assert judgement.leaning(judged).tolist() == [False] * 35 + [True] * 5
    written = record.write(planned, outcome)
    said = written.facts
    assert said.power["4 epochs"].found > said.power_of_leaning["4 epochs"].found
    assert said.power_of_leaning == reach.power(planned, planned.samples[35:], 40)
    table = decided.power(written)["table"]
    leaning = [f"{one.found:.2f}" for one in said.power_of_leaning.values()]
    assert table.head[-1] == "over the samples that lean alone"
    assert [row[-1] for row in table.rows] == leaning
    words = said.conclusion
    assert "30 usable answers are texts that came to more than 3 prompts" in words
    assert "With other texts 5 of the 40 samples" in words
    assert caveats.OF_HONEST_ANSWERS in words


def test_a_finding_says_on_how_few_samples_it_rests(tmp_path, server):
    """Who knows 8 of 20 published rows, and answers 32 prompts with letters of another script."""
    kit = twins.private(tmp_path, 40)
    said = kit.rows[kit.rows["published"].astype(bool)].head(8)
    known = dict(zip(said["prompt"], said["text"], strict=True))
    strange = {prompt: "\u0416" * (20 + i) for i, prompt in enumerate(kit.rows["prompt"])}
    server.script = lambda prompt, n: reply((strange | known)[prompt])
    planned = plan(kit, server, stop_early=False)
    outcome = run.run(planned)
    assert outcome.judgement.answer is Answer.FOUND and outcome.judgement.leans == 8
    said = record.write(planned, outcome).facts.conclusion
    assert "8 of the 40 samples with a usable answer" in said and "probability" not in said


def test_controls_lend_no_answer_a_lean(wording, server, tmp_path):
    """A stranger leans to nothing, though the control does to the first wording of everything."""
    rows = zip(wording.rows["prompt"], wording.wordings["first"], strict=True)
    file = write_jsonl(tmp_path / "c.jsonl", [{"prompt": p, "response": t} for p, t in rows])
    server.script = lambda prompt, n: reply("\u0416" * 60)
    planned = plan(wording, server, stop_early=False, control_answers=[file])
    judged = run.run(planned).judgement
    assert judged.leans == 8 and not judgement.leaning(judged).any()


def test_where_the_budget_ended_sooner_power_is_that_of_the_samples_asked_about(
    tmp_path, server, monkeypatch
):
    """Twenty of forty: before, in the table after it and in words; none where none can be found."""
    monkeypatch.setattr(reach, "RUNS", 100)
    kit = twins.wording(tmp_path, 40)
    server.script = twins.knows_all(kit)
    half, whole = (plan(kit, server, budget=budget) for budget in ("20", None))
    before = dry_run(half)
    assert "is found with probability" in before.conclusion and before.within_budget.samples == 20
    audit = record.write(half, run.run(half))
    power, every = audit.facts.power, dry_run(whole).power
    assert power == before.power == reach.power(half, half.samples.head(20), 20)
    assert power["3 epochs"].found < every["3 epochs"].found - 0.1
    assert "would have been found by then with probability" in audit.facts.conclusion
    said = report.power(audit)
    assert "Audits of the 20 samples with a usable answer, as 20 of 40 planned were asked" in said
    assert f"{power['3 epochs'].found:.2f} (" in said and "100 for each row" in said
    audit = record.write(whole, run.run(whole))
    assert audit.facts.power == every and "by then with" not in audit.facts.conclusion
    assert "of 40 planned were asked" not in report.power(audit)
    few = plan(kit, server, budget="2", out=tmp_path / "few")
    audit = record.write(few, run.run(few))
    assert audit.facts.answer is Answer.CANNOT and audit.facts.power == dry_run(few).power == {}
    assert report.power(audit) == "" and "probability" not in audit.facts.conclusion


# --- What was fixed, and what is counted -------------------------------------------------------


def test_a_finding_says_what_it_rests_on(wording, server, audit, tmp_path):
    server.script = twins.knows(wording)
    done = audit(wording, "--ask-all", "--case", "A 1", "--examiner", "M. Muster")
    assert done.exit_code == 0, done.output
    assert "m-1 was trained on the published part of boxes or on a copy of it (p = " in done.stdout
    found = facts(wording)
    assert (found["kind"], found["letter"], found["case"]) == ("wording twin", "B", "A 1")
    assert found["examiner"] == "M. Muster" and found["power"] == {}
    assert found["command"].startswith("dsi audit --kit ") and "--ask-all" in found["command"]
    commitment = found["commitment"]
    assert (commitment["groups"], commitment["rows"], commitment["late"]) == (8, 8, False)
    assert commitment["sha256"]["commitment.json"] == record.sha256_of(
        wording.folder / "commitment.json"
    )
    (folder,) = audits_of(wording.folder).iterdir()
    assert found["root"] == record.sha256_of(folder / record.SUMS)
    for line in (folder / record.SUMS).read_text().splitlines():
        value, name = line.split("  ")
        assert record.sha256_of(folder / name) == value == found["sha256"][name]
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()}
    assert {n for n, mode in modes.items() if mode == 0o600} == {
        "responses.jsonl",
        "answers.jsonl",
        "evidence.csv",
        "curve.csv",
    }
    assert record.read(folder).kit.rows.equals(wording.rows)


def test_the_plan_is_fixed_before_the_first_question(wording, server, audit):
    server.script = twins.knows_all(wording)
    assert audit(wording).exit_code == 0
    asked = len(server.asked)
    for more, words in {
        ("--alpha", "0.01"): "alpha is 0.05, now asked for is 0.01 (--alpha)",
        ("--samples", "6"): "samples is 8, now asked for is 6 (--samples)",
        (
            *("--responses", "2"),
            *("--temperature", "1"),
        ): "answers to a prompt is 1, now asked for is 2 (--responses)",
        ("--temperature", "0.5"): "temperature is 0.0, now asked for is 0.5 (--temperature)",
        ("--system-prompt", "x"): "system prompt is None, now asked for is x (--system-prompt)",
        (
            "--extra-body",
            '{"top_p": 1}',
        ): "extra is {}, now asked for is {'top_p': 1} (--extra-body)",
        (
            "--ask-all",
        ): "stops early is True, now asked for is False (--ask-all, --stop-early or --batch)",
    }.items():
        done = audit(wording, *more)
        assert done.exit_code == 2 and words in done.stderr, done.stderr
        assert "another --out, which the log counts" in done.stderr
    assert len(server.asked) == asked


def test_what_is_evidence_is_fixed_too(wording, server, audit):
    """By a plan that says it; an older one does not, and its audit is the same one in the log."""
    server.script = twins.knows_all(wording)
    planned = plan(wording, server)
    run.run(planned)
    asked, longer = len(server.asked), replace(planned.subject, mu=200)
    other = replace(planned, subject=longer)
    with pytest.raises(ValueError, match=r"mu is 20, now asked for is 200 \(--profile\)"):
        plan_file.check(other.folder, other.fixed)
    path = planned.folder / plan_file.NAME
    older = {k: v for k, v in json.loads(path.read_text()).items() if k != "mu"}
    path.write_text(json.dumps(older))
    assert audit(wording).exit_code == 0 and len(server.asked) == asked
    assert facts(wording)["audits"]["of"] == 1


def test_greedy_answers_are_asked_for_once(wording, server, audit):
    done = audit(wording, "--responses", "3")
    assert (
        done.exit_code == 2
        and "at temperature 0 every answer to a prompt is the same" in " ".join(done.stderr.split())
    )
    assert not server.asked


def test_a_larger_budget_goes_on_under_the_same_plan(wording, server, audit):
    server.script = twins.knows_all(wording)
    done = audit(wording, "--budget", "4")
    assert len(server.asked) == 4 and "Counted are 4 of 8 samples planned" in done.stdout
    assert facts(wording)["queried"]["ended"] == "budget spent"
    assert audit(wording).exit_code == 0 and len(server.asked) == 8
    found = facts(wording)
    assert found["audits"]["number"] == found["audits"]["of"] == 1
    assert [look["after"] for look in found["exact"]["looks"]] == list(range(1, 9))


def test_every_audit_of_a_suspect_is_counted(wording, server, audit):
    """With other settings, another folder or alpha it is another one."""
    server.script = twins.knows_all(wording)
    assert audit(wording, "--ask-all").exit_code == 0
    assert audit(wording, "--ask-all", "--out", "again", "--temperature", "0.5").exit_code == 0
    done = audit(wording, "--ask-all", "--out", "third", "--alpha", "0.01")
    assert done.exit_code == 0
    (third,) = (wording.folder.parent / "third").glob("*/audit.json")
    audits = json.loads(third.read_text())["audits"]
    assert (audits["counted"], audits["number"], audits["of"], audits["of all"]) == (True, 3, 3, 3)
    assert audits["at most"] == pytest.approx(0.11)
    assert [one["settings"]["temperature"] for one in audits["earlier"]] == [0.0, 0.5]
    assert all(one["answer"] == "no finding" and one["p"] > 0.05 for one in audits["earlier"])
    mode = (wording.folder / log.NAME).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert kits.read(wording.folder).rows.equals(wording.rows)


def test_an_audit_without_an_answer_is_neither_fixed_nor_counted(wording, server, audit):
    """Refused for a field that is missing, in two folders; then asked as the service wants it."""
    server.script = lambda prompt, n: error(422, "field required")
    assert audit(wording).exit_code == 3
    assert audit(wording, "--out", "other").exit_code == 3
    assert log.read(wording.folder) == []
    server.script = twins.knows_all(wording)
    done = audit(wording, "--extra-body", '{"tenant": "acme"}', "--alpha", "0.1", "--ask-all")
    assert done.exit_code == 0, done.stderr
    found = facts(wording)
    assert (found["audits"]["number"], found["audits"]["of"]) == (1, 1)
    assert found["audits"]["at most"] == pytest.approx(0.1) == found["settings"]["alpha"]
    assert len(log.read(wording.folder)) == 1


def test_a_plan_that_stays_as_it_was_is_one_audit(wording, server, monkeypatch):
    """Until something was answered or may have been billed another may take its place."""
    one = plan(wording, server)
    run.begin(one)
    begun = plan_file.read(one.folder)
    monkeypatch.setattr(plan_file.provenance, "moment", lambda: "later")
    run.begin(one)
    assert plan_file.read(one.folder) == begun
    other = plan(wording, server, alpha=0.1)
    run.begin(other)
    assert plan_file.read(other.folder).begun == "later"
    asked = SimpleNamespace(sample_id="s", draw=0)
    unanswered.add(one.folder, [(asked, Lost(1, 1))])
    with pytest.raises(ValueError, match="a plan is fixed"):
        plan(wording, server)
    with pytest.raises(ValueError, match="a plan is fixed"):  # planned before, begun after
        run.begin(one)


def test_a_damaged_log_is_told_before_anything_is_asked(wording, server, audit):
    (wording.folder / log.NAME).write_text("changed\n" + json.dumps({"audit": "a"}) + "\n")
    server.script = twins.knows(wording)
    done = audit(wording)
    assert done.exit_code == 2 and "line 1: is no entry" in done.stderr and server.asked == []


def test_an_audit_is_in_the_log_before_its_first_answer_is_kept_and_stays(wording, server, audit):
    """Also one that was broken off, and whose answers are gone."""
    path, healthy = wording.folder / log.NAME, twins.knows_all(wording)
    server.script = lambda prompt, n: (
        healthy(prompt, n) if not path.exists() else error(401, "who?")
    )
    assert audit(wording, "--out", "first", "--concurrency", "1").exit_code == 3
    (answers,) = (wording.folder.parent / "first").glob("*/responses.jsonl")
    assert len(answers.read_text().splitlines()) == 1
    answers.write_text("")
    server.script = healthy
    assert audit(wording, "--ask-all").exit_code == 0
    found = facts(wording)["audits"]
    assert (found["number"], found["of"], found["at most"]) == (2, 2, pytest.approx(0.1))


def test_where_the_log_cannot_be_written_the_audit_goes_on(wording, server, audit):
    (wording.folder / log.NAME).mkdir()
    server.script = twins.knows(wording)
    done = audit(wording)
    assert done.exit_code == 0 and "this audit is not counted" in done.stderr
    audits = facts(wording)["audits"]
    assert (audits["counted"], audits["number"], audits["of"]) == (False, None, 0)


def test_an_audit_that_is_not_counted_may_accuse_too(wording, server, audit, monkeypatch):
    """Two audits are in the log when it can no longer be written."""
    server.script = twins.knows_all(wording)
    for out in ("a", "b"):
        assert audit(wording, "--ask-all", "--out", out).exit_code == 0
    monkeypatch.setattr(log, "_append", lambda *_: False)
    assert audit(wording, "--ask-all").exit_code == 0
    audits = facts(wording)["audits"]
    assert (audits["counted"], audits["of"]) == (False, 2)
    assert audits["at most"] == pytest.approx(0.15)


# --- What is refused ---------------------------------------------------------------------------


def test_a_kit_that_does_not_match_is_refused(wording, server, audit):
    """Another coin after the fact: no question is asked."""
    path = wording.folder / "private.jsonl"
    path.write_text(path.read_text().replace('"first_published": true', '"first_published": false'))
    done = audit(wording)
    assert done.exit_code == 2 and "private.jsonl" in done.stderr and server.asked == []


def test_an_audit_is_of_a_kit_or_of_a_preparation(wording, audit):
    done = audit(wording, "--prepared", str(wording.folder))
    assert done.exit_code == 2 and "give one of them" in done.stderr


def test_a_kit_and_a_preparation_are_told_apart(wording, prepared, options, tmp_path):
    """Each given in the other's place, and a file in it instead of its folder."""
    from typer.testing import CliRunner

    from dsi_core.cli import app

    made = prepared(5).folder
    for option, place, words in (
        ("--kit", made, "holds prepared.json and no commitment.json; give it with --prepared"),
        ("--prepared", wording.folder, "commitment.json and no prepared.json; give it with --kit"),
        ("--kit", wording.folder / "private.jsonl", "is a file; give the folder that holds it"),
        ("--prepared", made / "prepared.json", "is a file; give the folder that holds it"),
    ):
        done = CliRunner().invoke(app, ["audit", option, str(place), *options])
        assert done.exit_code == 2 and f"{option} {place}: " in done.stderr
        assert words in done.stderr


def test_an_audit_of_another_kit_is_not_read(tmp_path):
    kit = twins.wording(tmp_path, 8)
    planned, outcome = answered(kit, lambda sample, draw: sample.output, alpha=0.05)
    folder = record.write(planned, outcome).folder
    for name in ("private.jsonl", "published.jsonl", "commitment.json"):
        (kit.folder / name).unlink()
    twins.wording(tmp_path, 8, salt=bytes(32))
    with pytest.raises(ValueError, match="is not the kit that"):
        record.read(folder)
