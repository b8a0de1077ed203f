"""Budgets as people write them, and what they are reckoned in."""

from types import SimpleNamespace

import pytest

from dsi_core.audit import budget
from dsi_core.audit.asking import cost
from dsi_core.audit.budget import Budget, Tokens


@pytest.mark.parametrize(
    ("text", "queries", "money"),
    [
        (None, None, None),
        ("150", 150, None),
        (" 150 queries ", 150, None),
        ("150 Queries", 150, None),
        ("1 QUERY", 1, None),
        ("2.50 USD", None, 2.5),
        ("$3", None, 3.0),
        ("EUR 4.5", None, 4.5),
    ],
)
def test_budgets_as_people_write_them(text, queries, money):
    assert budget.limits(text) == (queries, money)


def test_a_price_is_for_a_million_tokens():
    """1,000 read at 2 and 500 written at 4 a million are 0.002 + 0.002."""
    priced = budget.read_budget("3 USD", 2, 4)
    assert priced == Budget(None, 3.0, 2, 4) and priced.has_prices
    assert priced.cost(Tokens(1000, 500)) == pytest.approx(0.004)
    assert not budget.read_budget("10").has_prices


@pytest.mark.parametrize(
    ("text", "prices", "words"),
    [
        ("2 USD", (1.0, None), "needs --price-in and --price-out"),
        (None, (-1.0, 1.0), "--price-in and --price-out are -1.0 and 1.0"),
        (None, (1.0, float("nan")), "need numbers from 0 on"),
        ("EUR 2 USD", (), "needs a number of queries"),
        ("150 requests", (1, 2), "--budget '150 requests': needs a number of queries"),
        ("150 tokens", (1, 2), "--budget '150 tokens': needs a number of queries"),
        ("150k", (1, 2), "--budget '150k': needs a number of queries"),
        ("queries 150", (1, 2), "--budget 'queries 150': needs a number of queries"),
    ],
)
def test_what_is_no_budget(text, prices, words):
    with pytest.raises(ValueError, match=words):
        budget.read_budget(text, *prices)


def test_what_is_sent_with_a_prompt_counts_in_bytes():
    def size(system: str | None) -> int:
        return cost.prompt_bytes(SimpleNamespace(responses=SimpleNamespace(system=system)), "né?")

    assert (size(None), size("ß")) == (4, 6)


def test_requests_without_an_answer_cost_what_was_counted_and_at_most_the_others():
    """100 read at 2 and 10 written at 4 a million are 240 millionths; 50 and 5, twice, 240 too."""
    plan = SimpleNamespace(budget=budget.read_budget("3 USD", 2, 4))
    assert cost._cost(plan, Tokens(100, 10), 2, Tokens(50, 5)) == pytest.approx(480e-6)


@pytest.mark.parametrize(("money", "count"), [("0.0047 USD", 0), ("0.0049 USD", 6)])
def test_neutral_questions_take_a_quarter_of_the_money_at_most(monkeypatch, money, count):
    """Two rounds of three answers to each of two prompts, at 100 millionths each: 0.0012."""
    monkeypatch.setattr(cost, "worst_neutral", lambda plan: Tokens(60, 40))
    limit = budget.read_budget(money, 1, 1)
    assert cost.neutral_round(SimpleNamespace(remote="m", neutral=2, budget=limit)) == count
