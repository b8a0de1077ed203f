"""Answers of the same model that were paid for under another address, and lie in another folder."""

import json
import warnings
from dataclasses import replace

from dsi_core.audit.plan import Plan
from dsi_core.models import responses
from dsi_core.services.address import place
from dsi_core.services.service import NAME


def warn(plan: Plan) -> None:
    """Say, before the first question, where answers of a model of this name lie already."""
    if plan.remote is None or not plan.out.is_dir() or _count(plan.folder):
        return
    for folder in sorted(plan.out.iterdir()):
        known = _service(folder)
        api = known.get("api")
        # at the same address they are of another kit, or asked in another way
        if known.get("model") != plan.remote.model or api in (None, place(plan.remote)):
            continue
        if folder.name == _name_at(plan, api) and (count := _count(folder)):
            warnings.warn(
                f"{folder} holds {count} answers of {plan.remote.model} at {api}, which do not "
                "count here; if that is the same service, ask there: "
                f"--base-url {api}",
                stacklevel=2,
            )


def _name_at(plan: Plan, api: str) -> str:
    """How an audit of the same data at another address is named: one of other data is not."""
    assert plan.model is not None and plan.remote is not None
    moved = plan.model.changed(endpoint=plan.remote.changed(base_url=api))
    return replace(plan, model=moved).name


def _service(folder) -> dict:
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _count(folder) -> int:
    try:
        return (folder / responses.FILE).read_bytes().count(b"\n")
    except OSError:
        return 0
