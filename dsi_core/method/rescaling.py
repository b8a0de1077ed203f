"""Step 4, the scale of similarities: raw BERTScore F1, or rescaled as bert-score does it.

bert-score's "baseline" is the mean raw score of unrelated texts, which becomes 0.
"""

import json
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data.common_words import in_order, rouge_l
from dsi_core.data.pairs import Dataset, is_large, load_pairs
from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone
from dsi_core.runtime import disk, store
from dsi_core.settings.schema import Similarity

ALIKE = 0.5  # mean ROUGE-L from which texts are not unrelated; of `small`'s datasets below 0.1
LOOKED_AT = 200  # pairs, for that


def rescale(raw, baseline):
    """Give (raw - baseline) / (1 - baseline): 1 stays 1, unrelated texts get 0 on average.

    raw, baseline: numbers, or arrays of one shape.

    References
    ----------
    bert-score's rescaling.
    """
    return (np.asarray(raw) - baseline) / (1 - baseline)


def baseline(backbone: Backbone, victim: Dataset, others: Sequence[Dataset] = ()) -> float:
    """Find the mean raw score of unrelated texts.

    The settings' own, or bert-score's published value where there is one; else estimated once from
    `baseline_pairs` random pairs of different answers of the victim's whole file, less what the
    profile drops of it, and stored. If these answers are alike, as rows of one template are, they
    are paired with the others' instead: rescaled by such a baseline, noise looks like training.

    Parameters
    ----------
    victim
        Whose answers are paired, with its seed.
    others
        More datasets, whose answers are added where the victim's make too few pairs.

    Raises
    ------
    ValueError
        As `check`.
    """
    settings = backbone.settings
    if settings.baseline is not None:
        return settings.baseline
    known = published(settings)
    if known is not None:
        return known
    count = settings.baseline_pairs
    outputs, beside = _outputs(victim, others, count)
    spec = {"texts": store.key(outputs), "pairs": count, "seed": victim.seed}
    spec |= {"beside": store.key(beside)} if beside else {}
    name = f"baseline-{store.key(spec)}.json"
    path = similarity.folder_of(backbone) / name
    other = similarity.released_folder(backbone)
    if other is not None and (other / name).exists() and not path.exists():
        path = other / name
    if not path.exists():
        a, b = _pairs(outputs, beside, count, victim.seed)
        estimate = float(similarity.raw_scores(backbone, pd.DataFrame({"a": a, "b": b})).mean())
        disk.write_text(path, json.dumps({"f1": estimate, "spec": spec}, indent=1))
    return disk.read_json(path)["f1"]


def check(backbone: Backbone, victim: Dataset, others: Sequence[Dataset] = ()) -> None:
    """Find out whether there are unrelated texts to scale by, before a model is tuned.

    Warns where the victim's answers are alike, and so are all others'.

    Raises
    ------
    ValueError
        Where all have one and the same answer.
    """
    settings = backbone.settings
    if settings.rescale and settings.baseline is None and published(settings) is None:
        _outputs(victim, others, settings.baseline_pairs)


def _outputs(victim: Dataset, others: Sequence[Dataset], count: int) -> tuple[list[str], list[str]]:
    """Answers that make at least `count` pairs, if there are so many; what they are paired with.

    Nothing for the latter: with each other.
    """
    # of a source that is too large to be held, those that were drawn are enough
    own = load_pairs(victim, sample=is_large(victim))["output"].drop_duplicates().tolist()
    known = set(own)
    if alike(own, own, victim.seed):
        tables = [sorted({*load_pairs(d)["output"]} - known) for d in others]
        unlike = {t for texts in tables if not alike(own, texts, victim.seed) for t in texts}
        if unlike:
            return own, sorted(unlike)
    elif len(own) * (len(own) - 1) // 2 >= count:
        return own, []
    every = sorted({*own, *(text for d in others for text in load_pairs(d)["output"])})
    helps = "similarity.baseline sets the score of unrelated texts, or the profile names more data"
    if len(every) < 2:
        raise ValueError(
            f"{victim.name}: all of its outputs are one text, and there is no other to scale "
            f"similarities by; {helps}"
        )
    if alike(every, every, victim.seed):
        warnings.warn(
            f"{victim.name}: its outputs are alike (rows of one template?), and the profile has no "
            "others: similarities are scaled as if these were unrelated, so that the least change "
            f"counts as much, and the vote may call anything a member; {helps}",
            stacklevel=2,
        )
    return every, []


def alike(a: list[str], b: list[str], seed: int) -> bool:
    """Tell whether texts of both, paired at random, have half of their words in one order.

    In the mean of ROUGE-L over `LOOKED_AT` pairs of different texts; True where there is none.
    """
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(max(1, len(texts)), size=LOOKED_AT) for texts in (a, b))
    pairs = [(a[i], b[j]) for i, j in zip(first, second, strict=True)] if a and b else []
    close = [rouge_l(in_order(one), in_order(other)) for one, other in pairs if one != other]
    return not close or float(np.mean(close)) >= ALIKE


def _pairs(
    outputs: list[str], beside: list[str], count: int, seed: int
) -> tuple[list[str], list[str]]:
    """Random pairs of different texts."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(outputs), size=count)
    if beside:
        second = rng.integers(len(beside), size=count)
    else:
        second = (first + rng.integers(1, len(outputs), size=count)) % len(outputs)
    return [outputs[i] for i in first], [(beside or outputs)[i] for i in second]


def published(settings: Similarity) -> float | None:
    """Give bert-score's own mean raw score of unrelated texts; None where it publishes none."""
    if not settings.hub:
        return None
    found = find_spec("bert_score")  # its files are read; importing it takes seconds
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'bert_score'", name="bert_score")
    path = Path(found.origin).parent / "rescale_baseline" / "en" / f"{settings.hub}.tsv"
    if not path.exists():
        return None
    layers = pd.read_csv(path).set_index("LAYER")["F"]
    if settings.layer not in layers.index:
        raise ValueError(
            f"similarity.layer: {settings.layer}; {settings.hub} has 0 to {layers.index.max()}"
        )
    return float(layers.loc[settings.layer])
