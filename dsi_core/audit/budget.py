"""What an audit may cost, in queries or in money."""

import re
from dataclasses import dataclass
from math import inf
from typing import NamedTuple


class Tokens(NamedTuple):
    """Tokens that a service reads and writes."""

    read: float
    written: float


@dataclass(frozen=True)
class Budget:
    """What an audit may cost.

    Attributes
    ----------
    queries, money
        Limits; None = none.
    price_read, price_written
        Money per million tokens; None = unknown, and so are all costs.
    """

    queries: int | None = None
    money: float | None = None
    price_read: float | None = None
    price_written: float | None = None

    @property
    def has_prices(self) -> bool:
        """Whether money can be counted."""
        return self.price_read is not None and self.price_written is not None

    def cost(self, tokens: Tokens) -> float:
        """Give the money for so many tokens; there must be prices."""
        assert self.price_read is not None and self.price_written is not None
        return (tokens.read * self.price_read + tokens.written * self.price_written) / 1e6


def read_budget(
    budget: str | None, price_in: float | None = None, price_out: float | None = None
) -> Budget:
    """Read a budget (as `limits`) and its prices: money per million tokens read and written.

    Raises `ValueError` for a price below 0, for one price alone, and for money without prices.
    """
    if not all(0 <= price < inf for price in (price_in or 0.0, price_out or 0.0)):
        raise ValueError(
            f"--price-in and --price-out are {price_in} and {price_out}; need numbers from 0 on"
        )
    queries, money = limits(budget)
    if money is not None and (price_in is None or price_out is None):
        raise ValueError(
            f"a budget of {budget} needs --price-in and --price-out, "
            "in the same money per million tokens"
        )
    if (price_in is None) != (price_out is None):
        raise ValueError("--price-in and --price-out go together: one alone says no cost")
    return Budget(queries, money, price_in, price_out)


def limits(budget: str | None) -> tuple[int | None, float | None]:
    """Read a budget: (queries, money).

    "150" and "150 queries" are queries, "2.50 USD" and "EUR 3" money. Raises `ValueError` for
    anything else.
    """
    if budget is None:
        return None, None
    amount = re.sub(r"\s*(query|queries)$", "", budget.strip(), flags=re.I)
    money = r"([A-Z]{3}|[$€£])?"
    read = re.fullmatch(rf"{money}\s*(\d+(?:\.\d+)?)\s*{money}", amount)
    if not read or (read[1] and read[3]) or float(read[2]) <= 0:
        raise ValueError(
            f"--budget {amount!r}: needs a number of queries (150), "
            "or an amount with its money (2.50 USD)"
        )
    number = float(read[2])
    if read[1] or read[3]:
        return None, number
    if not number.is_integer():
        raise ValueError(f"--budget {amount!r}: queries are whole; for money name it (2.50 USD)")
    return int(number), None
