"""Is it still the same model? Neutral questions before and after, and between audits."""

import json
from dataclasses import replace
from itertools import count, product

import pandas as pd
import pytest
from asking import audits_of, facts, knows, plan, stored
from helpers import WORDS
from servers import error, reply

from dsi_core.audit import choices
from dsi_core.audit.asking import cost, run, same_model, storage
from dsi_core.audit.asking.run import Ended
from dsi_core.audit.budget import Tokens
from dsi_core.audit.dry_run import dry_run
from dsi_core.audit.report import record, report
from dsi_core.models import responses
from dsi_core.runtime import provenance
from dsi_core.services import request
from dsi_core.services.trial import EndpointError

ROUND = same_model.DEFAULT * same_model.DRAWS
NEUTRAL = set(same_model.PROMPTS.values())


class Served:
    """A model that answers D, and neutral questions with words of its own; version: of which.

    It changes when it has answered `until` questions.
    """

    def __init__(self, folder, version=0, until=None):
        self.knows, self.version, self.until = knows(folder), version, until
        self.numbers = count()

    def __call__(self, prompt, n):
        number = next(self.numbers)
        if self.until is not None and number >= self.until:
            self.version, self.until = self.version + 1, None
        if prompt not in NEUTRAL:
            return self.knows(prompt, n)
        word = WORDS[(sum(map(ord, prompt)) + 3 * self.version + n % 2) % len(WORDS)]
        return reply(f"{word} and more of {word}, version {word} of it, said quite plainly.")


def neutral(server) -> list[dict]:
    return [body for body in server.asked if body["messages"][-1]["content"] in NEUTRAL]


def asked(folder, server, **how):
    return plan(folder, server, neutral=None, stop_early=False, draws=1, **how)


def test_neutral_questions_come_first_and_last_and_in_one_way(prepared, server):
    folder = prepared(6)
    server.script = Served(folder)
    audit = asked(folder, server, temperature=0.5, system="Be brief.", key_env=None)
    outcome = run.run(audit)
    order = [body["messages"][-1]["content"] in NEUTRAL for body in server.asked]
    assert order == [True] * ROUND + [False] * 6 + [True] * ROUND
    for body in neutral(server):
        assert (body["temperature"], body["max_tokens"], len(body["messages"])) == (1.0, 12, 1)
    sent, asked_for = (
        {body["seed"] for body in neutral(server)},
        (list(same_model.PROMPTS), range(6)),
    )
    of_profile, of_secret = (
        {request.draw_seed(seed, *one) for one in product(*asked_for)}
        for seed in (audit.subject.seed, int(audit.subject.secret, 16))
    )
    assert len(sent) == 2 * ROUND and sent <= of_secret and not sent & of_profile
    said = record.write(audit, outcome).facts
    assert said.same_model.asked == 2 * ROUND and not said.same_model.differs
    assert "No sign that the model behind the name changed" in said.same_model.said
    assert said.same_model.said.endswith(same_model.UNNOTICED)
    assert len(stored(folder.folder)) == 6  # they are no answers of the audit


def test_a_model_that_changes_on_the_way_is_noticed(prepared, server):
    folder = prepared(6)
    server.script = Served(folder, until=ROUND + 3)
    audit = asked(folder, server)
    done = record.write(audit, run.run(audit))
    found = done.facts.same_model
    assert found.differs and found.during.p <= 0.01 and found.earlier is None
    page = report.page(done, {})
    assert page.count("The answers that count here come from more than one model") == 2
    assert "seems to have changed while it was asked" in report.how_sure(done)


def test_a_model_that_changed_between_audits_is_noticed(prepared, server):
    folder = prepared(6)
    for version, name in ((0, "a"), (0, "b"), (1, "c")):
        server.script = Served(folder, version)
        audit = asked(folder, server, out=audits_of(folder.folder) / name)
        found = record.write(audit, run.run(audit)).facts.same_model
        if name == "a":
            assert found.earlier is None
        else:
            assert found.earlier.answers == ({"b": 2, "c": 4}[name] * ROUND, 2 * ROUND)
        assert found.differs == (name == "c") and found.during.p > 0.01
    assert "since an earlier audit" in found.said
    first = asked(folder, server, out=audits_of(folder.folder) / "a")
    again = record.write(first, run.run(first)).facts.same_model
    assert again.earlier is None and not again.differs  # the later ones are none of its earlier


def test_an_audit_begun_anew_is_not_compared_with_itself(prepared, server):
    """Its answers are gone, those to neutral questions lie there still."""
    folder = prepared(6)
    server.script = Served(folder)
    audit = asked(folder, server)
    run.run(audit)
    (audit.folder / responses.FILE).unlink()
    with pytest.warns(UserWarning, match="counted as another audit"):
        said = record.write(audit, run.run(audit)).facts
    assert (said.audits.number, said.same_model.earlier) == (2, None)
    assert said.same_model.asked == 3 * ROUND


def test_audits_that_asked_neutral_questions_otherwise_are_not_compared(prepared, server):
    """Another version each time, and twice another way: no temperature, room for thoughts."""
    folder = prepared(6)
    ways = ({}, {"omit": ("temperature",)}, {"reasoning_tokens": 9}, {"reasoning_tokens": 9})
    found = []
    for version, way in enumerate(ways):
        server.script = Served(folder, version)
        audit = asked(folder, server, out=audits_of(folder.folder) / str(version))
        model = audit.model.changed(endpoint=audit.remote.changed(**way))
        audit = replace(audit, model=model)
        found.append(record.write(audit, run.run(audit)).facts.same_model)
    assert [one.earlier is None for one in found] == [True, True, True, False]
    assert found[3].earlier.answers == (2 * ROUND, 2 * ROUND) and found[3].differs


def test_only_texts_are_compared():
    """Of a model whose neutral answers are all thought there is none."""

    def answers(*texts):
        rows = [
            (name, draw, text and f"{name} {text} {draw % 2}")
            for number, text in enumerate(texts)
            for name in ("beach", "rain")
            for draw in range(number * same_model.DRAWS, (number + 1) * same_model.DRAWS)
        ]
        return pd.DataFrame(rows, columns=["sample_id", "draw", "response"])

    silent = answers("", "")
    for own, earlier in ((silent, []), (silent, [answers("one", "two")]), (answers("a"), [silent])):
        said = same_model.judge(own, earlier)
        assert said.during is said.earlier is None and not said.differs
        assert said.asked == len(own)
        assert said.said.startswith("There is nothing to compare") and "too few texts" in said.said
    half = same_model.judge(answers("", "one", "one"), [answers("one")])
    assert half.during.answers == (6, 6) and half.earlier.answers == (6, 12)


def test_of_answers_that_never_vary_any_less_agreement_would_be_noticed():
    rows = [(name, draw, name) for name in list(same_model.PROMPTS)[:6] for draw in range(6)]
    table = pd.DataFrame(rows, columns=["sample_id", "draw", "response"])
    said = same_model.judge(table, []).said
    assert "agreement 1.00, within 1.00; an agreement below 1.00, with other answers to 3" in said
    one = table.assign(response=table["response"].where(table["draw"] < 3, "x" * 20))
    changed = one.where(one["sample_id"] == "story", table)
    found = same_model.judge(changed, [])  # one prompt alone: not noticed, and not said to be
    assert found.during.noticed < found.during.between < 1 and not found.differs


def test_nothing_is_asked_or_paid_twice(prepared, server):
    """Broken off in the first round, in the audit, in the last round: each goes on there."""
    folder = prepared(6)
    healthy, numbers, breaks = Served(folder), count(), {5, ROUND + 3, ROUND + 6 + 6}
    server.script = lambda prompt, n: (
        error(401, "who?") if next(numbers) in breaks else healthy(prompt, n)
    )
    for _ in range(2):
        with pytest.raises(EndpointError, match="who"):
            run.run(asked(folder, server))
    with pytest.warns(UserWarning, match="not asked whether"):
        run.run(asked(folder, server))
    for _ in range(2):
        assert run.run(asked(folder, server)).ended is Ended.ALL_PROMPTED
        assert len(server.asked) == 2 * ROUND + 6 + 3


def test_more_answers_ask_for_another_last_round(prepared, server, monkeypatch):
    """A rerun with a larger budget gets more answers, and compares the model once more."""
    folder = prepared(20)
    server.script = Served(folder)
    seconds = count()
    monkeypatch.setattr(provenance, "now", lambda: f"2026-01-01T00:{next(seconds):05}")
    how = {"neutral": 2, "stop_early": False, "draws": 2}
    first = plan(folder, server, budget="48", **how)
    run.run(first)
    more = plan(folder, server, budget="60", **how)
    assert run.run(more).judgement.samples == 20
    assert len(neutral(server)) == 3 * 6 and len(server.asked) == 40 + 18
    found = same_model.judge(storage.beside(more), [])
    assert found.during.answers == (6, 6) and found.asked == 18


@pytest.mark.parametrize("budget", ["60", "0.002 USD"])
def test_a_small_budget_is_not_spent_on_them(prepared, server, budget):
    folder = prepared(6)
    server.script = Served(folder)
    audit = asked(folder, server, budget=budget, price_in=1, price_out=2)
    assert cost.neutral_round(audit) == 0
    with pytest.warns(UserWarning, match="--same-model 6 is not done: its 36 queries"):
        outcome = run.run(audit)
    assert neutral(server) == [] and len(server.asked) == 6
    facts = record.write(audit, outcome).facts
    assert facts.same_model is None and "--same-model 6 is not done" in facts.limits[-1]


def test_the_command_says_before_it_asks_that_a_budget_is_too_small(prepared, server, cli, options):
    """Two rounds of three answers to each of n prompts: 6 n of 24 queries, a quarter if n = 1."""
    folder, said = prepared(6), "--same-model 3 is not done: its 18 queries may take more than 25%"
    server.script = lambda prompt, n: error(401, "who?")
    options[options.index("--same-model") + 1] = "3"
    done = cli(folder.folder, "--budget", "7")
    assert done.exit_code == 3 and said in " ".join(done.stderr.split())
    server.script = Served(folder)
    done = cli(folder.folder, "--budget", "24")
    assert neutral(server) == [] and said in " ".join(done.stderr.split())
    options[options.index("--same-model") + 1] = "1"
    done = cli(folder.folder, "--budget", "24", "--out", "other")
    assert done.exit_code == 0 and len(neutral(server)) == 6 and "not done" not in done.stderr


def test_they_count_in_a_budget_and_are_paid(prepared, server):
    """Of 150 queries 36 are theirs: 114 are left for questions."""
    folder = prepared(6)
    served, usage = Served(folder), {"prompt_tokens": 15, "completion_tokens": 12}

    def counts(prompt, n):
        status, headers, body = served(prompt, n)
        return status, headers, json.dumps({**json.loads(body), "usage": usage}).encode()

    server.script = counts
    audit = asked(folder, server, budget="150", price_in=1, price_out=1)
    outcome = run.run(audit)
    assert cost.used(audit, storage.answers(audit)) == 2 * ROUND + 6 == len(server.asked)
    assert outcome.cost == pytest.approx(cost.spent(audit, storage.answers(audit)), abs=1e-12)
    done = record.write(audit, outcome)
    said = done.facts.queried
    assert said.requests == 2 * ROUND + 6 and said.answers == 6
    counted = Tokens(said.tokens_read, said.tokens_written)
    assert said.cost == pytest.approx(audit.budget.cost(counted))
    assert "in 42 requests (with those of 36 neutral questions)" in report.who_asked_what(done)
    roomy = plan(folder, server, neutral=None, budget="150", out=folder.folder.parent / "o")
    assert (roomy.draws, cost.neutral_round(roomy), dry_run(roomy).samples_left) == (3, ROUND, 6)


def test_without_the_servers_count_each_costs_what_it_may_at_most(prepared, server):
    """Neutral ones have 12 new tokens and no system prompt, whatever the audit's have."""
    folder = prepared(6)
    server.script = lambda prompt, n: reply(WORDS[0], usage=None)
    audit = asked(folder, server, system="Be brief.", price_in=1, price_out=10)
    own = sum(audit.budget.cost(cost.worst(audit, prompt)) for prompt in audit.samples["prompt"])
    each = audit.budget.cost(cost.worst_neutral(audit))
    assert run.run(audit).cost == pytest.approx(own + 2 * ROUND * each)


def test_a_budget_leaves_room_for_the_last_round(prepared, server):
    """48 queries buy two rounds of six and 36 of the 40 answers."""
    folder = prepared(20)
    server.script = Served(folder)
    audit = plan(folder, server, neutral=2, stop_early=False, draws=2, budget="48")
    assert dry_run(audit).samples_left == 18
    outcome = run.run(audit)
    assert outcome.ended is Ended.BUDGET_SPENT and len(server.asked) == 48
    assert len(neutral(server)) == 12 and outcome.judgement.samples == 18


def test_neutral_questions_that_are_repeated_stay_in_the_budget(prepared, server, pauses):
    """Six queries are left for the last round, and a service bills every other one for nothing."""
    folder = prepared(20)
    healthy, turns = Served(folder), count()
    server.script = lambda prompt, n: (
        (200, {}, b"?")
        if prompt in NEUTRAL and len(server.asked) > 42 and next(turns) % 2
        else healthy(prompt, n)
    )
    audit = plan(folder, server, neutral=2, stop_early=False, draws=2, budget="48")
    outcome = run.run(audit)
    assert outcome.ended is Ended.BUDGET_SPENT and len(server.asked) == 48
    assert len(neutral(server)) == 12 and len(storage.beside(audit)) == 9


def test_a_last_round_that_fails_takes_no_outcome_away(prepared, server):
    folder = prepared(6)
    healthy = Served(folder)
    server.script = lambda prompt, n: (
        healthy(prompt, n) if len(server.asked) <= ROUND + 6 else error(401, "closed")
    )
    audit = asked(folder, server)
    with pytest.warns(UserWarning, match="not asked whether it is still the same model"):
        outcome = run.run(audit)
    assert outcome.ended is Ended.ALL_PROMPTED
    assert record.write(audit, outcome).facts.same_model.during is None


def test_the_command_asks_them_and_says_so(prepared, server, cli, options):
    folder = prepared(6)
    server.script = Served(folder, until=ROUND + 3)
    options[options.index("--same-model") + 1] = "6"
    dry = cli(folder.folder, "--dry-run", "--responses", "1", "--json")
    assert json.loads(dry.stdout)["neutral queries"] == 2 * ROUND and server.asked == []
    done = cli(folder.folder, "--responses", "1", "--ask-all")
    assert done.exit_code == 0 and "seems to have changed while it was asked" in done.stdout
    assert facts(folder.folder)["same model"]["differs"] is True
    options[options.index("--same-model") + 1] = "13"
    wrong = cli(folder.folder, "--responses", "1", "--out", "other")
    assert wrong.exit_code == 2 and "allowed: 0 to 12" in wrong.stderr


def test_a_neutral_question_is_called_one_where_it_fails(prepared, server, cli, options):
    detail = {"detail": [{"loc": ["body", "tenant"], "msg": "field required"}]}
    server.script = lambda prompt, n: (422, {}, json.dumps(detail).encode())
    options[options.index("--same-model") + 1] = "6"
    done = cli(prepared(5).folder)
    assert done.exit_code == 3 and len(server.asked) == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: m-1 at {server.url}, neutral question story: status 422: tenant: field required "
        "(--extra-body '{\"tenant\": ...}' sends it)"
    )


def test_models_that_are_not_asked_through_an_api_are_not_asked_these(prepared):
    from dsi_core.audit import suspect

    made = choices.plan(prepared(5), *suspect.model("owner/name"))
    assert made.neutral == cost.neutral_round(made) == 0
