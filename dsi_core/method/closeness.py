"""How close an answer is to a given text: the measures that the exact tests of an audit rest on.

They are contrasts within one model, an answer's closeness to two texts or to texts of two parts, so
that no reference model is needed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.data.common_words import in_order, narrow, rouge_l, seen
from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone

GRAM = 3  # words
CHARACTERS = 8  # two words or so; long enough not to be shared by chance


class Measure(StrEnum):
    """How close an answer is to a text; in [0, 1], higher = closer."""

    ROUGE_L = "rouge_l"
    CONTAINMENT = "containment"
    SUBSTRING = "substring"
    CHARACTERS = "characters"
    BERTSCORE = "bertscore"


class Combine(StrEnum):
    """How a sample's answers make one number, by pandas' names."""

    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True)
class Statistic:
    """A measure, and how a sample's answers are combined."""

    measure: Measure
    combine: Combine

    def __str__(self) -> str:
        return f"{self.combine} {self.measure}"


# The best of those in `calibration.tables.STATISTICS` on draws of development (notebook 10)
DEFAULT = Statistic(Measure.CHARACTERS, Combine.MAX)


def closeness(
    measure: Measure,
    answers: Iterable[str],
    texts: Iterable[str],
    backbone: Backbone | None = None,
) -> np.ndarray:
    """Give the closeness of each answer to its text.

    Parameters
    ----------
    measure
        Rouge_l: ROUGE-L F, without stemming. Containment: share of the text's different runs of
        `GRAM` words that the answer has too. Substring: longest run of words that both have, as a
        share of the text's words. Characters: root of the share of the text's different runs of
        `CHARACTERS` characters that the answer has too, of its words without case, punctuation,
        full width and invisible characters, with blanks between them (so that of a script without
        blanks, where each character is a word, a run has four or five); the root keeps a few well
        remembered samples from outweighing all the others.
        Bertscore: raw F1, 0 where it is negative.
    answers, texts
        As many of each.
    backbone
        For bertscore.

    Returns
    -------
    closeness
        Shape (answers,), in [0, 1], higher = closer; 0 for a blank answer or text.

    Raises
    ------
    ValueError
        For bertscore without a backbone.
    """
    answers, texts = list(answers), list(texts)
    of_words: Callable[[Sequence[str], Sequence[str]], float]
    match measure:
        case Measure.BERTSCORE:
            if backbone is None:
                raise ValueError(f"{measure} needs a backbone, the other measures do not")
            pairs = pd.DataFrame({"a": answers, "b": texts}, dtype=object)
            return similarity.raw_scores(backbone, pairs).clip(min=0)
        case Measure.ROUGE_L:
            of_words = rouge_l
        case Measure.CONTAINMENT:
            of_words = _containment
        case Measure.SUBSTRING:
            of_words = _substring
        case Measure.CHARACTERS:
            of_words = _characters
            # here alone: tables that are released rest on the other measures of such texts, and
            # on this one of m² and m2, which NFKC (`protect.texts`) takes for the same
            answers, texts = ([narrow(seen(text)) for text in side] for side in (answers, texts))
    both = zip(answers, texts, strict=True)
    return np.array([of_words(in_order(answer), in_order(text)) for answer, text in both], float)


def per_sample(
    statistic: Statistic, answers: pd.DataFrame, texts: pd.Series, backbone: Backbone | None = None
) -> pd.Series:
    """Give the closeness of each sample's answers to its text, as one number.

    Parameters
    ----------
    statistic
        The measure and how answers are combined.
    answers
        Usable ones, columns sample_id and response: any number to each sample.
    texts
        Indexed by sample_id; answers to other samples are left out.
    backbone
        For bertscore.

    Returns
    -------
    pandas.Series
        With the index of `texts`, in [0, 1]; NaN for a sample without an answer.
    """
    answers = answers[answers["sample_id"].isin(texts.index)]
    own = answers["sample_id"].map(texts)
    close = closeness(statistic.measure, answers["response"], own, backbone)
    by_sample = pd.Series(close, dtype=float).groupby(answers["sample_id"].to_numpy())
    return by_sample.agg(str(statistic.combine)).reindex(texts.index)


def _containment(answer: Sequence[str], text: Sequence[str]) -> float:
    """The share of the text's runs of words that the answer has."""
    return _share_of_runs(tuple(answer), tuple(text), GRAM)


def _characters(answer: Sequence[str], text: Sequence[str]) -> float:
    """The root of the share of the text's runs of characters that the answer has."""
    return _share_of_runs(" ".join(answer), " ".join(text), CHARACTERS) ** 0.5


def _share_of_runs(answer: Sequence, text: Sequence, size: int) -> float:
    """The share of the text's different runs that the answer has; of all it has, if it is short."""
    size = min(size, len(text))
    if not size:
        return 0.0
    wanted = _runs(text, size)
    return len(wanted & _runs(answer, size)) / len(wanted)


def _runs(sequence: Sequence, size: int) -> set:
    return {sequence[i : i + size] for i in range(len(sequence) - size + 1)}


def _substring(answer: Sequence[str], text: Sequence[str]) -> float:
    """The longest run of words in both, as a share of the text's."""
    if not text:
        return 0.0
    matcher = SequenceMatcher(None, answer, text, autojunk=False)
    return matcher.find_longest_match().size / len(text)
