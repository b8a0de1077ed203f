"""Step 4, the scale of similarities: raw BERTScore F1, or rescaled as bert-score does it.

bert-score's "baseline" is the mean raw score of unrelated texts, which becomes 0.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data.pairs import Dataset, is_large, load_pairs
from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone
from dsi_core.runtime import disk, store
from dsi_core.settings.schema import Similarity


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

    The settings' own, or bert-score's published value where there is one; else estimated once
    from `baseline_pairs` random pairs of different answers of the victim's whole file, and stored.

    Parameters
    ----------
    victim
        Whose answers are paired, with its seed.
    others
        More datasets, whose answers are added where the victim's make too few pairs.
    """
    settings = backbone.settings
    if settings.baseline is not None:
        return settings.baseline
    known = published(settings)
    if known is not None:
        return known
    count = settings.baseline_pairs
    outputs = _outputs(victim, others, count)
    spec = {"texts": store.key(outputs), "pairs": count, "seed": victim.seed}
    name = f"baseline-{store.key(spec)}.json"
    path = similarity.folder_of(backbone) / name
    other = similarity.released_folder(backbone)
    if other is not None and (other / name).exists() and not path.exists():
        path = other / name
    if not path.exists():
        rng = np.random.default_rng(victim.seed)
        first = rng.integers(len(outputs), size=count)
        second = (first + rng.integers(1, len(outputs), size=count)) % len(outputs)  # another text
        pairs = pd.DataFrame({"a": [outputs[i] for i in first], "b": [outputs[i] for i in second]})
        estimate = float(similarity.raw_scores(backbone, pairs).mean())
        disk.write_text(path, json.dumps({"f1": estimate, "spec": spec}, indent=1))
    return disk.read_json(path)["f1"]


def _outputs(victim: Dataset, others: Sequence[Dataset], count: int) -> list[str]:
    """Answers that make at least `count` pairs, if there are so many."""
    # of a source that is too large to be held, those that were drawn are enough
    outputs = load_pairs(victim, sample=is_large(victim))["output"].drop_duplicates().tolist()
    if len(outputs) * (len(outputs) - 1) // 2 >= count:
        return outputs
    return sorted({*outputs, *(text for d in others for text in load_pairs(d)["output"])})


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
