"""What the explorer shows, as numbers small enough to send: 50,000 samples of 40 suspects and more.

Gaps are whole ten-thousandths, rounded up: a gap is above a threshold of at most four decimals if
and only if its code is. So a page counts exactly as `method.tainted` and `method.verdict` do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.audit.preparation.prepared import Prepared, suspect_answers
from dsi_core.method import study, verdict
from dsi_core.method.study import Study
from dsi_core.method.tainted import gaps
from dsi_core.plots import style
from dsi_core.plots.style import COLORS, LOOKS, Kind, Status
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import THRESHOLDS, Rule

CODES = 10_000  # to a gap of 1
LIMIT = 32_000  # of a code; what is further away is drawn there
NOT_ASKED, DROPPED = -32_768, -32_767  # codes of an answer that was not asked for, or never counts
LONGEST = 300  # bytes: the end of the slider of mu; longer answers count as this long
LOWEST, HIGHEST = THRESHOLDS  # ends of the sliders of delta_t and delta_s
SAMPLE = ["dataset", "sample_id"]
SUSPECT = ["dataset", "suspect", "group", "member"]
ANSWER = ["dataset", "suspect", "sample_id", "draw", "reference", "response", "gap"]


@dataclass(frozen=True)
class Points:
    """The samples of one dataset, and what its suspects' answers say of them.

    Attributes
    ----------
    name
        The dataset's.
    sample_ids, categories
        A string each; "" where there is no category.
    references
        Their names.
    before, after
        Similarity to the oracle, shape (samples, references), float32, higher = closer.
    min_gaps
        Code of each sample's weakest gap (Eq. 1), int16.
    suspects
        suspect, kind (a `style.Kind`) and member (None = unknown), members first.
    gaps
        Code of each answer's weakest gap (Eq. 2), shape (suspects, samples, draws), int16.
    lengths
        Of the answers, in bytes, up to `LONGEST`; the same shape, uint16.
    texts
        Given a sample's place: prompt, oracle, and answers of references and suspects by name.
    """

    name: str
    sample_ids: list[str]
    categories: list[str]
    references: list[str]
    before: np.ndarray
    after: np.ndarray
    min_gaps: np.ndarray
    suspects: pd.DataFrame
    gaps: np.ndarray
    lengths: np.ndarray
    texts: Callable[[int], dict[str, Any]]

    def samples(self) -> bytes:
        """Pack before, after, min_gaps, the categories' places and the ids, one behind another."""
        places = {name: place for place, name in enumerate(self.known_categories())}
        of_samples = np.array([places[name] for name in self.categories], "<u2")
        arrays = [self.before.astype("<f4"), self.after.astype("<f4"), self.min_gaps, of_samples]
        return b"".join(a.tobytes() for a in arrays) + "\n".join(self.sample_ids).encode()

    def answers(self, suspect: int) -> bytes:
        """Pack one suspect's gaps and lengths, one behind the other."""
        return self.gaps[suspect].tobytes() + self.lengths[suspect].tobytes()

    def known_categories(self) -> list[str]:
        """Give each category once, sorted."""
        return sorted(set(self.categories))

    def header(self) -> dict[str, Any]:
        """Say what there is: names, counts, and the limits of what is drawn."""
        counted = self.gaps[self.gaps > DROPPED]
        asked = (self.gaps != NOT_ASKED).any(axis=(0, 2))
        unasked = self.min_gaps[~asked] if len(self.suspects) else self.min_gaps[:0]
        return {
            "name": self.name,
            "samples": len(self.sample_ids),
            "draws": self.gaps.shape[2],
            "references": self.references,
            "categories": self.known_categories(),
            "suspects": self.suspects.to_dict("records"),
            "evidence": [int(counted.min()), int(counted.max())] if counted.size else [-1, 1],
            # below it samples would be tainted that no suspect was asked about
            "lowest": float(np.ceil(unasked.max() / 100) / 100) if unasked.size else LOWEST,
        }


@dataclass(frozen=True)
class Explored:
    """Everything an explorer shows: its datasets, and where the thresholds begin."""

    title: str
    datasets: list[Points]
    delta_t: float
    delta_s: float
    mu: int
    rule: Rule

    def header(self) -> dict[str, Any]:
        """Give everything except the numbers and texts themselves, as for JSON."""
        shown = [*Kind, *Status]
        return {
            "title": self.title,
            "datasets": [points.header() for points in self.datasets],
            "start": {"delta_t": self.delta_t, "delta_s": self.delta_s, "mu": self.mu},
            "limits": {"lowest": LOWEST, "highest": HIGHEST, "longest": LONGEST},
            "codes": {"per_one": CODES, "not_asked": NOT_ASKED, "dropped": DROPPED},
            "tie": "member" if self.rule == Rule.RELEASED else "non-member",
            "mu_counts": self.rule == Rule.TEXT,
            "looks": {str(k): [LOOKS[k].color, LOOKS[k].marker] for k in shown},
            "colors": {
                name: COLORS[name] for name in ("line", "zero", "tainted", "wrong", "shared words")
            },
        }


def of_profile(profile: str) -> Explored:
    """Give what an explorer shows of a profile: the suspects of its study and of every suite.

    Whatever the store and the released answers lack is tuned and asked.
    """
    settings = load_profile(profile)
    _check_mu(settings)
    names = [None, *settings.suites]
    runs = [study.start(profile, suite) for suite in names]
    scores = [study.reference_scores(run) for run in runs]
    answers = [study.suspect_gaps(*of_run) for of_run in zip(runs, scores, strict=True)]
    known = pd.concat([study.suspects(run) for run in runs])
    return of_study(
        runs[0],
        pd.concat(scores).drop_duplicates([*SAMPLE, "reference"]),
        pd.concat(answers).drop_duplicates(["suspect", *SAMPLE, "draw", "reference"]),
        known,
    )


def of_prepared(dataset: Prepared) -> Explored:
    """Give what an explorer shows of a prepared dataset: the models whose truth is known."""
    _check_mu(dataset.study.profile)
    answers = suspect_answers(dataset)
    return of_study(dataset.study, dataset.scores, answers, dataset.known)


def of_study(
    run: Study,
    scores: pd.DataFrame,
    answers: pd.DataFrame | None = None,
    suspects: pd.DataFrame | None = None,
) -> Explored:
    """Give what an explorer shows of a study.

    Parameters
    ----------
    run
        Its settings say where the thresholds begin, and whose rule counts.
    scores
        As `study.reference_scores`.
    answers
        As `study.suspect_gaps`; None = there are no suspects yet.
    suspects
        Columns dataset, suspect, group, member: those that are shown; None = the study's.

    Returns
    -------
    Explored

    Raises
    ------
    ValueError
        As `tainted.gaps` and `verdict.evidence`; if mu is longer than its slider.
    """
    decision = run.profile.decision
    _check_mu(run.profile)
    if answers is None:
        answers = pd.DataFrame(columns=ANSWER)
        suspects = pd.DataFrame(columns=SUSPECT)
    elif suspects is None:
        suspects = study.suspects(run)
    suspects = suspects[SUSPECT].drop_duplicates(["dataset", "suspect"])
    weakest = gaps(scores)
    datasets = []
    for name in scores["dataset"].unique():
        of_dataset = [
            table[table["dataset"] == name] for table in (scores, weakest, answers, suspects)
        ]
        datasets.append(_points(decision.rule, str(name), *of_dataset))
    delta_t, delta_s = round(decision.delta_t, 4), round(run.delta_s, 4)
    return Explored(run.profile.scale, datasets, delta_t, delta_s, decision.mu, decision.rule)


def _check_mu(profile: Profile) -> None:
    mu = profile.decision.mu
    if mu > LONGEST:
        raise ValueError(
            f"profile {profile.name!r}: decision.mu {mu}: "
            f"the explorer's slider ends at {LONGEST} bytes"
        )


def _points(
    rule: Rule,
    name: str,
    scores: pd.DataFrame,
    weakest: pd.DataFrame,
    answers: pd.DataFrame,
    suspects: pd.DataFrame,
) -> Points:
    samples = pd.Index(weakest["sample_id"])
    first = scores.drop_duplicates("sample_id").set_index("sample_id").loc[samples]
    references = sorted(scores["reference"].unique())
    sides = [
        scores.pivot(index="sample_id", columns="reference", values=side)
        .loc[samples, references]
        .to_numpy("float32")
        for side in ("before", "after")
    ]
    listed = _listed(suspects)
    answers = answers[answers["suspect"].isin(listed["suspect"])]
    once = answers.drop_duplicates(["suspect", "sample_id", "draw"])
    numbers = _of_text if rule == Rule.TEXT else _of_released_code
    return Points(
        name,
        sample_ids=list(samples),
        categories=[str(c) if isinstance(c, str) else "" for c in first["category"]],
        references=references,
        before=sides[0],
        after=sides[1],
        min_gaps=rounded_up(weakest["min_gap"].to_numpy()),
        suspects=listed,
        **numbers(answers, once, samples, pd.Index(listed["suspect"])),
        texts=_texts(scores, once, samples, references),
    )


def _listed(suspects: pd.DataFrame) -> pd.DataFrame:
    """The suspects by kind, in the order of `style.Kind`: suspect, kind, member."""
    kinds = style.kinds_of(suspects)
    place = kinds.map({kind: place for place, kind in enumerate(Kind)})
    member = [None if pd.isna(m) else bool(m) for m in suspects["member"]]
    known = pd.Series(member, suspects.index, dtype=object)
    table = suspects.assign(kind=kinds.map(str), member=known, place=place)
    return table.sort_values("place", kind="stable")[["suspect", "kind", "member"]]


def rounded_up(values: np.ndarray) -> np.ndarray:
    """Give codes of values: the least whole number k with value <= k / `CODES`, in int16.

    So value > t / `CODES` if and only if k > t, for every whole number t within `LIMIT`.
    """
    codes = np.ceil(np.clip(values * CODES, -LIMIT, LIMIT))
    codes += values > codes / CODES  # what the product's rounding made one too low or too high
    codes -= values <= (codes - 1) / CODES
    return np.clip(codes, -LIMIT, LIMIT).astype("<i2")


def _of_text(
    answers: pd.DataFrame, once: pd.DataFrame, samples: pd.Index, suspects: pd.Index
) -> dict[str, np.ndarray]:
    """The weakest gap of each answer over the references, and its length."""
    draws = pd.Index(sorted(answers["draw"].unique()))
    shape = len(suspects), len(samples), max(1, len(draws))

    def places(table: pd.DataFrame) -> np.ndarray:
        at = (
            suspects.get_indexer(pd.Index(table["suspect"])),
            samples.get_indexer(pd.Index(table["sample_id"])),
            draws.get_indexer(pd.Index(table["draw"])),
        )
        return np.ravel_multi_index(at, shape)

    at, references = places(answers), answers["reference"].nunique()
    counts = np.bincount(at, minlength=np.prod(shape))
    known = counts > 0
    if (counts[known] != references).any() or answers["gap"].isna().any():
        raise ValueError(f"every answer needs a gap to each of {references} references")
    weakest = np.full(len(counts), np.inf)
    np.minimum.at(weakest, at, answers["gap"].to_numpy(float))
    gaps = np.full(shape, NOT_ASKED, "<i2").ravel()
    gaps[known] = rounded_up(weakest[known])
    if "status" in once:
        gaps[places(once[once["status"] != "answered"])] = DROPPED
    lengths = np.zeros(shape, "<u2").ravel()
    lengths[places(once)] = [min(LONGEST, len(text.encode())) for text in once["response"]]
    return {"gaps": gaps.reshape(shape), "lengths": lengths.reshape(shape)}


def _of_released_code(
    answers: pd.DataFrame, once: pd.DataFrame, samples: pd.Index, suspects: pd.Index
) -> dict[str, np.ndarray]:
    """Each sample's evidence as one answer of any length: this rule mixes answers, without mu."""
    table = verdict.evidence(answers, 0.0, 0, Rule.RELEASED)
    at = (
        suspects.get_indexer(pd.Index(table["suspect"])),
        samples.get_indexer(pd.Index(table["sample_id"])),
    )
    gaps = np.full((len(suspects), len(samples), 1), NOT_ASKED, "<i2")
    evidence = table["evidence"].to_numpy(float)
    found = rounded_up(np.nan_to_num(evidence))
    gaps[(*at, 0)] = np.where(np.isnan(evidence), DROPPED, found)
    return {"gaps": gaps, "lengths": np.full(gaps.shape, LONGEST, "<u2")}


def _texts(
    scores: pd.DataFrame, once: pd.DataFrame, samples: pd.Index, references: list[str]
) -> Callable[[int], dict[str, Any]]:
    """How to look up a sample's texts; tables are sorted once, so that each look is quick."""

    def by_sample(table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
        place = samples.get_indexer(pd.Index(table["sample_id"]))
        ordered = table.assign(place=place).sort_values(["place", *keys], kind="stable")
        return ordered, np.searchsorted(ordered["place"], np.arange(len(samples) + 1))

    of_references, first = by_sample(scores, ["reference"])
    of_suspects, begin = by_sample(once, ["suspect", "draw"])
    draws = pd.Index(sorted(once["draw"].unique()))

    def texts(sample: int) -> dict[str, Any]:
        said = of_references.iloc[first[sample] : first[sample + 1]]
        told = of_suspects.iloc[begin[sample] : begin[sample + 1]]
        of_suspect: dict[str, list[tuple[int, str]]] = {}
        places = draws.get_indexer(pd.Index(told["draw"]))
        for suspect, draw, text in zip(told["suspect"], places, told["response"], strict=True):
            of_suspect.setdefault(suspect, []).append((int(draw), text))
        return {
            "prompt": said["prompt"].iloc[0],
            "oracle": said["output"].iloc[0],
            "before": said["response_before"].tolist(),
            "after": said["response_after"].tolist(),
            "suspects": of_suspect,  # pairs of (place of the draw, response)
        }

    return texts
