"""A prepared dataset: all that an arbiter needs to ask a suspect, in a folder of texts and numbers, without weights.

prepared.json (settings, facts and the hashes of the others) is written last; samples.jsonl, references.jsonl, known.jsonl.
"""

import hashlib
import json
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.evidence import blind, controls
from dsi_core.method.study import Study
from dsi_core.runtime import store
from dsi_core.settings import words
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile

PARTS = (words.PUBLISHED, "withheld")
FILES = ("samples.jsonl", "references.jsonl", "known.jsonl")
FEW = 10  # tainted samples
PAIR = ["dataset", "sample_id", "prompt", "output", "category"]
TOLD = ["dataset", "suspect", "sample_id", "draw", "response", "status"]
ANSWERS = [*TOLD, "member", "group"]


@dataclass(frozen=True)
class Prepared:
    """What `prepare.run` left in a folder.

    samples: sample_id, part (published | withheld), prompt, output, category, min_gap, tainted. scores: as `study.reference_scores`.
    known: answers of models whose membership is known, as `study.gaps_to` with member, group, status. facts: prepared.json.
    """

    folder: Path
    facts: dict
    study: Study
    samples: pd.DataFrame
    scores: pd.DataFrame
    known: pd.DataFrame

    @property
    def tainted(self) -> pd.DataFrame:
        """The samples that an audit may ask, in the order in which it asks: random, the same for every model, blind to the parts."""
        chosen = self.samples[self.samples["tainted"]].sort_values("sample_id")
        return chosen.sample(frac=1, random_state=self.study.profile.seed).reset_index(drop=True)


def write(prepared: Prepared) -> Prepared:
    """Write its folder, prepared.json last."""
    folder, plain = (
        prepared.folder,
        prepared.scores.drop(columns=["dataset", "prompt", "output", "category"]),
    )
    tables = dict(
        zip(FILES, (prepared.samples.drop(columns="dataset"), plain, wide(prepared.known)))
    )
    hashes = {}
    for name, table in tables.items():
        text = table.to_json(orient="records", lines=True, force_ascii=False, double_precision=8)
        store.write_text(folder / name, text)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    facts = {
        **prepared.facts,
        "settings": settings(prepared.study.profile),
        "sha256": hashes,
        "versions": store.versions(),
        "made": store.now(),
    }
    store.write_text(folder / "prepared.json", json.dumps(facts, indent=1, ensure_ascii=False))
    return read(folder)


def read(folder: str | Path) -> Prepared:
    """A folder that `prepare.run` wrote. Raises `ValueError` if it is incomplete or a file is not the one that prepared.json names."""
    folder, tables = Path(folder), []
    told = facts(folder)
    for name in FILES:
        text = (folder / name).read_bytes()
        if hashlib.sha256(text).hexdigest() != told["sha256"][name]:
            raise ValueError(
                f"{folder / name} was changed after the preparation (its SHA-256 differs from prepared.json's)"
            )
        tables.append(lines(text.decode()).assign(dataset=told["name"]))
    samples, scores, known = tables
    profile = Profile.model_validate(told["settings"])
    scores = samples[PAIR].merge(scores, on=["dataset", "sample_id"], validate="1:m")
    return Prepared(
        folder, told, Study(profile, samples[PAIR]), samples, scores, long(known, profile)
    )


def facts(folder: Path) -> dict:
    """prepared.json. Raises `ValueError` where there is none."""
    path = folder / "prepared.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no prepared.json: run `python -m dsi_core prepare` to its end first"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def settings(profile: Profile) -> dict:
    return json.loads(profile.model_dump_json(by_alias=True, exclude_none=True))


def lines(text: str) -> pd.DataFrame:
    """A table from one JSON object a line."""
    return pd.DataFrame([json.loads(line) for line in text.split("\n") if line])


def wide(answers: pd.DataFrame) -> pd.DataFrame:
    """One row per answer, with a column "gap to <reference>" for each reference."""
    if answers.empty:
        return pd.DataFrame()
    table = answers.assign(reference="gap to " + answers["reference"])
    keys = [c for c in table.columns if c not in ("dataset", "reference", "gap")]
    return (
        table.pivot(index=keys, columns="reference", values="gap")
        .reset_index()
        .rename_axis(columns=None)
    )


def long(table: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """The reverse of `wide`: one row per answer and reference, as `study.gaps_to`."""
    gaps = {f"gap to {r.name}": r.name for r in profile.references}
    if table.empty:
        return pd.DataFrame(columns=[*ANSWERS, "reference", "gap"])
    return table.rename(columns=gaps).melt(
        [c for c in table.columns if c not in gaps], list(gaps.values()), "reference", "gap"
    )


def strength(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """What the tainted samples can carry: columns what, have, enough (yes | weak | no), why."""
    tainted, people = prepared.tainted, prepared.known[["suspect", "member"]].drop_duplicates()
    parts = tainted["part"].value_counts().reindex(PARTS, fill_value=0)
    count, others = len(tainted), int((~people["member"].astype(bool)).sum())
    rows = [
        (
            "vote (§5.4)",
            f"{count} of {len(prepared.samples)} samples tainted",
            "no" if not count else "weak" if count < FEW else "yes",
            "no sample to ask about"
            if not count
            else f"under {FEW} samples, single answers decide"
            if count < FEW
            else "an odd answer cannot decide it",
        )
    ]
    smallest = 1 / (others + 1)
    rows.append(
        (
            "against controls",
            f"{others} models known not to have seen D",
            "yes" if count >= controls.MIN_SAMPLES and smallest <= alpha else "no",
            f"smallest possible p-value {smallest:.3g}; alpha {alpha:g} needs {int(np.ceil(1 / alpha)) - 1} controls",
        )
    )
    deals = comb(count, int(parts[PARTS[0]]))
    rows.append(
        (
            "private twin",
            f"{parts[PARTS[0]]} published and {parts[PARTS[1]]} withheld tainted samples",
            "yes" if 1 / deals <= alpha else "no",
            f"smallest possible p-value {max(1 / deals, 1e-4):.2g}"
            if parts[PARTS[1]]
            else "no part of the data was withheld",
        )
    )
    return pd.DataFrame(rows, columns=["what", "have", "enough", "why"])


def blind_table(prepared: Prepared) -> pd.DataFrame:
    """The blind check of the published part against the twin and the controls' data: against, auc, low, high, published, other (pairs)."""
    rows = [
        {**c, "published": c["pairs"][0], "other": c["pairs"][1]} for c in prepared.facts["blind"]
    ]
    return pd.DataFrame(rows, columns=["against", "auc", "low", "high", "published", "other"])


def suspect_answers(prepared: Prepared) -> pd.DataFrame:
    """The known models' answers without those that are no evidence, as `study.suspect_gaps` has them: what the explorer shows."""
    return prepared.known[prepared.known["status"].isin(["answered", "short"])].drop(
        columns=["member", "group", "status"]
    )


def describe(prepared: Prepared, alpha: float = 0.05) -> str:
    """What a preparation found, in a few lines for the terminal."""
    facts, scores = prepared.facts, prepared.scores.groupby("reference")[["before", "after"]].mean()
    learnt = [
        f"{name} repeats the oracle at {row['before']:.2f} before and {row['after']:.2f} after tuning"
        for name, row in scores.iterrows()
    ]
    lines = [
        f"{prepared.folder}: {len(prepared.tainted)} of {len(prepared.samples)} samples are tainted; {'; '.join(learnt)} (similarity, 1 = word for word)"
    ]
    lines += [f"dropped: {count} {why}" for why, count in facts["dropped"].items() if count]
    lines += (
        [
            f"control left out, as its training data is missing or part of yours: {', '.join(facts['left_out'])}"
        ]
        if facts["left_out"]
        else []
    )
    for check in facts["blind"]:
        warn = (
            ": a text classifier can tell them apart, so the comparison is not like with like"
            if blind.tells_apart(check["auc"]) and "twin" in check["against"]
            else ""
        )
        lines.append(
            f"blind check, D against {check['against']}: AUC {check['auc']:.2f} ({check['low']:.2f} to {check['high']:.2f}){warn}"
        )
    return "\n".join(lines) + "\n" + strength(prepared, alpha).to_string(index=False)
