"""What an auditor puts before each question: a model may copy from it what it never learnt."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.audit.plan import Plan
from dsi_core.audit.readable import Readable
from dsi_core.audit.subject import Kind
from dsi_core.data.common_words import in_order
from dsi_core.method.closeness import GRAM, Measure, closeness
from dsi_core.settings import defaults

RUN = 8  # words in a row that two texts hardly share by chance


class Shared(Readable):
    """How many texts of the samples share words with what was put before each question.

    Words: `RUN` of them in a row, or a shorter text as a whole.

    Attributes
    ----------
    before
        What was put there.
    published, kept_back
        Texts that the coin published, and that it did not; without a coin all texts, and None.
    """

    before: list[str]
    published: int
    kept_back: int | None

    @property
    def favours(self) -> bool:
        """Whether it holds more of what was published."""
        return self.published > (self.kept_back or 0)

    @property
    def said(self) -> str:
        """Say it in a sentence."""
        count = str(self.published)
        if self.kept_back is not None:
            count += f" published, {self.kept_back} kept back"
        return (
            f"What was put before each question ({', '.join(self.before)}) has {RUN} words in a "
            f"row, or all of a shorter text, in common with texts of the data ({count}): whoever "
            "copies from it looks as if it had learnt them."
        )


def texts(plan: Plan) -> dict[str, str]:
    """Give what was chosen to stand before each question, by what it is.

    All texts of --extra-body count: only the service knows what a field does.
    """
    if plan.model is None:  # of a file of answers nobody here knows
        return {}
    found = {}
    if plan.responses.system:
        found["the system prompt"] = plan.responses.system
    if plan.remote is None:
        template = plan.model.chat_template or plan.subject.chat_template
        if template != defaults.CHAT_TEMPLATE:
            found["the chat template"] = template
    elif plan.remote.extra:
        found["the fields of --extra-body"] = "\n".join(_texts(plan.remote.extra))
    return found


def shared(plan: Plan) -> Shared | None:
    """Count the texts that share words with it; None = none does."""
    before = texts(plan)
    words = "\n".join(before.values())
    published, kept_back = (_sharing(words, side) for side in _sides(plan))
    if not published + kept_back:
        return None
    of_coin = None if plan.kit is None else kept_back
    return Shared(before=list(before), published=published, kept_back=of_coin)


def _sides(plan: Plan) -> tuple[pd.Series, pd.Series]:
    """The texts that were published, and those that were kept back."""
    samples = plan.samples
    outputs = samples["output"]
    if plan.subject.kind is Kind.WORDING:
        return outputs, samples["second"].where(samples["first_published"], samples["first"])
    if plan.subject.kind is Kind.PRIVATE:
        return outputs[samples["published"]], outputs[~samples["published"]]
    return outputs, outputs.head(0)


def _sharing(words: str, texts: pd.Series) -> int:
    """How many texts share so many words in a row; one of under `GRAM` words is no text."""
    if not words:
        return 0
    size = np.array([len(in_order(text)) for text in texts], int)
    longest = closeness(Measure.SUBSTRING, [words] * len(texts), texts) * size
    return int(((size >= GRAM) & (longest.round() >= size.clip(max=RUN))).sum())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
