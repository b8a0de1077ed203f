"""What a report shows of the samples: the tables of its pictures, and texts side by side.

The private part of a kit stays private: only published texts are quoted, and samples are named by
the order of asking, as their ids are hashes of texts.
"""

from dataclasses import dataclass

import pandas as pd

from dsi_core.audit.report import record
from dsi_core.audit.report.record import Audit
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.data.common_words import common

TOLD_EACH = 3  # samples with the most and with the least evidence
MOST = {
    Kind.PRIVATE: "among the closest of the published",
    Kind.WORDING: "among the strongest preferences for the published wording",
    Kind.AFTER: "among the strongest evidence",
}
LEAST = {
    Kind.PRIVATE: "among the furthest of the published",
    Kind.WORDING: "among the weakest preferences for the published wording",
    Kind.AFTER: "among the weakest evidence",
}


@dataclass(frozen=True)
class Text:
    """A text in pieces, each with whether it is marked, under a label."""

    label: str
    pieces: list[tuple[str, bool]]


@dataclass(frozen=True)
class Sample:
    """A sample's prompt and the texts that answer it."""

    title: str
    prompt: str
    texts: list[Text]


def drawn(audit: Audit) -> dict[str, pd.DataFrame]:
    """Give the tables that `plots.audit.pictures` draws, by their pictures' names."""
    facts = audit.facts
    if facts.exact is not None:
        first = "preference" if facts.kind is Kind.WORDING else "closeness"
        return {first: contrast(audit), "looks": audit.curve}
    assert facts.settings.method is not None
    return {
        "strata": record.known_models(audit),
        "samples": audit.evidence.assign(threshold=facts.settings.method.delta_s),
        "curve": audit.curve.assign(alpha=facts.alpha),
    }


def contrast(audit: Audit) -> pd.DataFrame:
    """A and B: each sample's part in the statistic at the last look.

    Returns
    -------
    pandas.DataFrame
        Columns sample (1, 2, ... in the order of asking), value, published and needed (of the
        mean, `evidence.looks.Look.needed`; NaN = none would do). A: value is the closeness to the
        sample's own text. B: value is the preference for the published wording, less what the
        answers prefer on average, and published is true throughout.
    """
    test = audit.facts.exact
    assert test is not None, "after the fact there is no exact test"
    table = audit.evidence
    if test.looks:
        table = table.head(test.looks[-1].after)
    value = table["evidence"]
    if audit.facts.kind is Kind.WORDING:
        sign = table["first_published"].map({True: 1.0, False: -1.0})
        value = sign * (value - value.mean())
    needed = test.looks[-1].needed if test.looks else None
    return pd.DataFrame(
        {
            "sample": range(1, len(table) + 1),
            "value": value,
            "published": True if audit.facts.kind is Kind.WORDING else table["published"],
            "needed": float("nan") if needed is None else needed,
        }
    ).reset_index(drop=True)


def telling(audit: Audit, count: int = TOLD_EACH) -> pd.DataFrame:
    """Choose the samples with the most and with the least evidence, `count` each.

    Of a private twin published ones only. Returns sample (1, 2, ... in the order of asking),
    sample_id, value, why.
    """
    table = audit.evidence[["sample_id"]].assign(sample=range(1, len(audit.evidence) + 1))
    if audit.facts.exact is None:
        table["value"] = audit.evidence["evidence"]
    else:
        of_sample = contrast(audit).set_index("sample")
        table["value"] = table["sample"].map(of_sample["value"])
        table = table[table["sample"].map(of_sample["published"]).eq(True)]
    ordered = table.dropna(subset="value").sort_values(
        ["value", "sample_id"], ascending=[False, True]
    )
    kind = audit.facts.kind
    top = ordered.head(count).assign(why=MOST[kind])
    bottom = ordered.iloc[count:].tail(count).iloc[::-1].assign(why=LEAST[kind])
    return pd.concat([top, bottom])[["sample", "sample_id", "value", "why"]]


def side_by_side(audit: Audit, count: int = TOLD_EACH) -> list[Sample]:
    """Give the samples of `telling`, with the texts that their answers are compared with."""
    chosen = telling(audit, count).to_dict("records")
    return [_sample(audit, one) for one in chosen]


def quoted(audit: Audit) -> set[str]:
    """Give the sample_ids whose prompts and answers may be shown: what was withheld may not."""
    if audit.kit is None:
        return set(audit.evidence["sample_id"])
    rows = audit.kit.rows
    return set(rows.loc[rows["published"], "sample_id"])


def _sample(audit: Audit, chosen: dict) -> Sample:
    sample_id = chosen["sample_id"]
    assert sample_id in quoted(audit)
    of_sample = audit.answers["sample_id"] == sample_id
    usable = audit.answers[of_sample & (audit.answers["status"] == AnswerStatus.ANSWERED)]
    prompt, texts = (_of_kit if audit.prepared is None else _of_prepared)(audit, sample_id, usable)
    title = f"{chosen['why']}: {chosen['value']:+z.2f}, sample {chosen['sample']}"
    return Sample(title[0].upper() + title[1:], prompt, texts)


def _of_kit(audit: Audit, sample_id: str, usable: pd.DataFrame) -> tuple[str, list[Text]]:
    """The published text, and the answer that comes closest to it."""
    assert audit.kit is not None
    rows = audit.kit.rows
    row = rows[rows["sample_id"] == sample_id].to_dict("records")[0]
    close, what = "close", "The text that was published"
    if audit.facts.kind is Kind.WORDING:
        close = "close_first" if row["first_published"] else "close_second"
        what = "The wording that was published"
    answer = usable.sort_values(close, kind="stable")["response"].iloc[-1]
    texts = [
        Text("The suspect's answer that comes closest to it", [(answer, False)]),
        Text(what, common(answer, row["text"])),
    ]
    return row["prompt"], texts


def _of_prepared(audit: Audit, sample_id: str, usable: pd.DataFrame) -> tuple[str, list[Text]]:
    """The suspect's best answer, the oracle, and those of one reference.

    The reference whose tuning brings it nearest, with and without the data.
    """
    assert audit.prepared is not None
    samples = audit.prepared.samples
    pair = samples[samples["sample_id"] == sample_id].to_dict("records")[0]
    weakest = usable.groupby("draw")["gap"].min()
    best = usable[usable["draw"] == weakest.idxmax()]
    answer = best["response"].iloc[0]
    nearest = best.set_index("reference")["gap"].idxmax()
    scores = audit.prepared.scores
    of_reference = (scores["sample_id"] == sample_id) & (scores["reference"] == nearest)
    reference = scores[of_reference].to_dict("records")[0]
    texts = [
        Text("The suspect's answer", [(answer, False)]),
        Text("The dataset's own answer (oracle)", common(answer, pair["output"])),
        Text(f"{nearest}, trained on the dataset", common(answer, reference["response_after"])),
        Text(f"{nearest}, not trained on it", common(answer, reference["response_before"])),
    ]
    return pair["prompt"], texts
