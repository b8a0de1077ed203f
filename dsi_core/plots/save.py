"""Step 7, figures: `save` keeps PNG, PDF, the CSV drawn and a manifest; what is drawn is in `plots` and `plots_variants`."""

import hashlib
import json
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns

from dsi_core.method.study import Study
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT


def style() -> None:
    """One look for every figure, and the same jitter of dots in every run (seaborn takes it from numpy's global numbers)."""
    np.random.seed(0)
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "svg.hashsalt": "dsi_core",
        },
    )


def save(
    study: Study,
    name: str,
    figure,
    table: pd.DataFrame,
    folder: str = "figures",
    *,
    scale: str | None = None,
) -> Path:
    """Write `<folder>/<profile>/<name>.png`, `.pdf` and `.csv` (figure None: the CSV alone), and note them in its manifest.

    The figure gets the profile's scale as a caption, or `scale` where it shows other models than the profile's. Returns the path of the PNG, or of the CSV.
    """
    place = ROOT / folder / study.profile.name
    place.mkdir(parents=True, exist_ok=True)
    files = [place / f"{name}.csv"]
    store.write_text(files[0], table.to_csv(index=False, float_format="%.6g"))
    if figure is not None:
        figure = getattr(figure, "figure", figure)
        caption = f"{study.profile.name}, seed {study.profile.seed}, {store.now()[:10]}: {scale or study.profile.scale}"
        wrapped = textwrap.fill(
            caption, int(17 * figure.get_figwidth())
        )  # about 17 characters of 7 points to the inch
        figure.supxlabel(wrapped, fontsize=7, color="#555555", x=0.01, ha="left")
        for suffix, facts in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
            figure.savefig(place / f"{name}{suffix}", metadata=facts)
            files.append(place / f"{name}{suffix}")
    note(study, files)
    return files[1] if len(files) > 1 else files[0]


def note(study: Study, files: list[Path]) -> None:
    """Enter files into the folder's `manifest.json`: hash and time of each, parameters, versions and commit of the run."""
    path = files[0].parent / "manifest.json"
    store.root().mkdir(parents=True, exist_ok=True)
    with store.lock(store.root()):
        known = json.loads(path.read_text(encoding="utf-8"))["files"] if path.exists() else {}
        made = {
            "made": store.now(),
            "commit": store.commit(),
            "parameters": store.key(study.profile.model_dump()),
        }
        for file in files:
            known[file.name] = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **made}
        facts = {
            "profile": study.profile.name,
            "scale": study.profile.scale,
            "parameters": study.profile.model_dump(exclude_none=True),
            "parameters_key": made["parameters"],
            "versions": store.versions(),
            "files": dict(sorted(known.items())),
        }
        store.write_text(path, json.dumps(facts, indent=1, ensure_ascii=False))
