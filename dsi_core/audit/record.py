"""The report of an audit: one JSON file with every number, and one HTML file that needs nothing else."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.audit import prepared as preparation
from dsi_core.audit.judgement import known_evidence
from dsi_core.audit.plan import SUSPECT, Plan
from dsi_core.audit.prepared import Prepared
from dsi_core.evidence import controls
from dsi_core.models import endpoint
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT

ASSUMES = {
    "vote": "None is needed to count, but the count has no known error rate: the thresholds are the paper's conventions.",
    "controls": "An innocent model is like one more of the control models: each of them all is equally likely to lean most. "
    "That is a choice of controls, not a fact; a model tuned on data much like the dataset is only covered if some controls were, too.",
    "twin": "A fair coin, thrown before the release, decided which samples were withheld, and nobody else has them. "
    "Nothing else is assumed, about the model or the data.",
}
LIMITS = [
    "A p-value is the chance of evidence at least this strong from an innocent model, under the assumption beside it. "
    "It is not the chance that the model is innocent.",
    "No finding does not show that the model was not trained on the dataset: it may have learnt it too weakly, from another wording, or hide it behind a filter.",
    "A finding says that the model answers like one trained on these samples. "
    "How they came to its maker (a licence, another publication of the same texts) is not visible in its answers.",
    "Asking shows the prompts to whoever runs the service, those of withheld samples too (not their outputs): for the next audit they are no longer private.",
    "The service may change the model behind a name at any time; the answers are those of the times given here.",
]


@dataclass(frozen=True)
class Audit:
    """What `write` left in an audit's folder: facts (audit.json), answers, evidence, curve, known (evidence of the known models) and the preparation."""

    folder: Path
    facts: dict
    prepared: Prepared
    answers: pd.DataFrame
    evidence: pd.DataFrame
    curve: pd.DataFrame
    known: pd.DataFrame


def headline(plan: Plan, result: dict) -> str:
    """The outcome in one sentence, the vote in another."""
    p, alpha, counts = result["p"], plan.alpha, result["vote"]
    name = {"twin": "the private twin", "controls": "the control models"}.get(result["decided_by"])
    if p is None:
        first = "No error rate can be given: there are neither control models nor a private twin."
    elif p <= alpha:
        first = f"{plan.name} answers like a model that was trained on the dataset (p = {p:.3g} against {name}, alpha = {alpha:g})."
    else:
        first = f"No finding at alpha = {alpha:g} (p = {p:.3g} against {name}); that does not show that {plan.name} was not trained on the dataset."
    vote = f"{counts['verdict']}, {counts['positive']} positive and {counts['negative']} negative samples of {result['samples_asked']} asked"
    return f"{first} The paper's vote: {vote}."


def write(plan: Plan, result: dict, notebook: bool = True) -> list[Path]:
    """Write audit.json, the tables and, through `notebooks/audit.ipynb`, report.html. Returns the paths of JSON and HTML."""
    folder = plan.folder
    parts = {
        "answers.jsonl": preparation.wide(result["answers_table"]).to_json(
            orient="records", lines=True, force_ascii=False
        ),
        "evidence.csv": result["evidence"][["sample_id", "part", "evidence", "status"]].to_csv(
            index=False
        ),
        "curve.csv": result["curve"].to_csv(index=False),
        "known.csv": known_evidence(plan.prepared, plan.samples, plan.draws).to_csv(index=False),
    }
    for name, text in parts.items():
        store.write_text(folder / name, text)
    facts = _facts(plan, result)
    facts["sha256"] = {
        "prepared.json": _hash(plan.prepared.folder / "prepared.json"),
        **plan.prepared.facts["sha256"],
        **{
            name: _hash(folder / name)
            for name in ["responses.jsonl", *parts]
            if (folder / name).exists()
        },
    }
    path = folder / "audit.json"
    store.write_text(path, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))
    if not notebook:
        return [path]
    from dsi_core.audit import report

    path_html = folder / "report.html"
    store.write_text(path_html, report.as_page(_execute(folder), f"Audit of {plan.name}"))
    facts["sha256"]["report.html"] = _hash(path_html)
    store.write_text(path, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))
    return [path, path_html]


def read(folder: str | Path) -> Audit:
    """An audit's folder. Raises `ValueError` where there is no audit.json."""
    folder = Path(folder)
    if not (folder / "audit.json").is_file():
        raise ValueError(
            f"{folder} holds no audit.json: run `python -m dsi_core audit` to its end first"
        )
    facts = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    prepared = preparation.read(folder.parent)
    answers = preparation.long(
        preparation.lines((folder / "answers.jsonl").read_text(encoding="utf-8")),
        prepared.study.profile,
    )
    evidence, curve, known = (
        pd.read_csv(folder / f"{n}.csv", keep_default_na=True, dtype={"sample_id": str})
        for n in ("evidence", "curve", "known")
    )
    return Audit(folder, facts, prepared, answers, evidence, curve, known)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _facts(plan: Plan, result: dict) -> dict:
    """audit.json without the hashes. NaN becomes null; only counts and names of answers are in it, never their text."""
    once = result["answers_table"].drop_duplicates(["sample_id", "draw"])
    told = plan.prepared
    facts = {
        "conclusion": headline(plan, result),
        "suspect": {
            "name": plan.name,
            **_where(plan),
            "called itself": sorted(set(once["model"]) - {""}),
        },
        "dataset": {
            "name": told.facts["name"],
            "samples": len(told.samples),
            "tainted": len(told.tainted),
            "prepared": told.facts["made"],
            "dropped": told.facts["dropped"],
        },
        "asked": {
            "first": min(once["at"], default=None),
            "last": max(once["at"], default=None),
            "samples": result["samples_asked"],
            "of at most": len(plan.samples),
            "answers": result["answers"],
            "requests": sum(once["requests"]),
            "tokens read": sum(once["prompt_tokens"]),
            "tokens written": sum(once["tokens"]),
            "cost": result["cost"],
            "ended": result["ended"],
        },
        "settings": _settings(plan),
        **{k: result[k] for k in ("vote", "controls", "twin", "p")},
        "decided by": result["decided_by"],
        "statuses": result["statuses"],
        "blind check": told.facts["blind"],
        "assumptions": ASSUMES,
        "limits": LIMITS,
        "versions": store.versions(),
        "made": store.now(),
    }
    return json.loads(json.dumps(facts, default=_plain), parse_constant=lambda _: None)


def _where(plan: Plan) -> dict:
    model = plan.profile.models[SUSPECT]
    if remote := model.endpoint:
        return {"api": endpoint.place(remote), "model": remote.model, "extra": remote.extra}
    return {"folder": model.path} if model.path else {"hub": model.hub}


def _settings(plan: Plan) -> dict:
    asked, prepared = plan.profile.responses, plan.prepared.study
    return {
        "alpha": plan.alpha,
        "stop when sure": plan.stop,
        "budget": {
            "queries": plan.queries,
            "money": plan.money,
            "prices per million tokens": plan.prices,
        },
        "answers to a prompt": plan.draws,
        "temperature": asked.temperature,
        "max new tokens": asked.max_new_tokens,
        "system prompt": asked.system,
        "controls were asked with": prepared.profile.responses.model_dump(
            include={"temperature", "system"}
        ),
        "seed": plan.profile.seed,
        **plan.profile.decision.model_dump(include={"delta_t", "mu"}),
        "delta_s": prepared.delta_s,
        "similarity": plan.profile.similarity.model_dump(exclude_none=True),
        "references": [r.name for r in plan.profile.references],
    }


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)


def _execute(folder: Path) -> str:
    """The body of the executed notebook, its code left out. Raises `RuntimeError` naming the cell that failed."""
    import nbformat
    from nbconvert import HTMLExporter

    from dsi_core.reproduce import execute

    why = execute(ROOT / "notebooks" / "audit.ipynb", folder, {"folder": str(folder.resolve())})
    if why:
        raise RuntimeError(f"audit.ipynb: {why}")
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(nbformat.read(folder / "audit.ipynb", as_version=4))[0]


def known_models(audit: Audit) -> pd.DataFrame:
    """The suspect among the known models: `controls.compare` of the samples that were asked."""
    asked = audit.evidence["sample_id"]
    mine = audit.evidence.assign(
        model=f"{audit.facts['suspect']['name']} (the suspect)", group="the suspect", member=None
    )
    return controls.compare(
        pd.concat(
            [audit.known[audit.known["sample_id"].isin(asked)].astype({"member": object}), mine]
        )
    )
