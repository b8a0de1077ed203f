"""Answers of the same model that were paid for under another address, and lie in another folder."""

import json
import warnings

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
        # at the same address they are of another kit, or asked in another way
        if known.get("model") != plan.remote.model or known.get("api") == place(plan.remote):
            continue
        if count := _count(folder):
            warnings.warn(
                f"{folder} holds {count} answers of {plan.remote.model} at {known.get('api')}, "
                "which do not count here; if that is the same service, ask there: "
                f"--base-url {known.get('api')}",
                stacklevel=2,
            )


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
