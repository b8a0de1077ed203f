"""plan.json: what an audit fixed before its first question, so that no rerun can choose again.

A plan can be replaced as long as nothing was answered or billed (`asking.run.begin`).
"""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from dsi_core.audit.readable import RESTORE, Readable
from dsi_core.audit.subject import Kind
from dsi_core.runtime import disk, provenance
from dsi_core.services import pending
from dsi_core.settings.profile import explain

NAME = "plan.json"
FORMAT: Final = 1
OPTIONS = {  # the option that sets a field
    "alpha": "--alpha",
    "samples": "--samples",
    "stops_early": "--ask-all, --stop-early or --batch",
    "temperature": "--temperature",
    "answers_to_a_prompt": "--responses",  # 1 at temperature 0
    "system_prompt": "--system-prompt",
    "max_new_tokens": "--max-new-tokens",
    "reasoning_tokens": "--reasoning-tokens",
    "extra": "--extra-body",
    "omit": "--omit",
    "controls": "--control-answers",
    "seed": "--profile",
    "mu": "--profile",
}
ASKING = ("system_prompt", "max_new_tokens")


class PlanFile(Readable):
    """What is fixed.

    Attributes
    ----------
    suspect
        Its name.
    samples
        How many are asked about at most.
    looks
        After how many samples an exact test looks; empty = there is none.
    exponent
        How alpha is spent over the looks (`evidence.looks`).
    reasoning_tokens
        Extra new tokens that may be written for a thought.
    statistic
        What is compared, in words.
    extra, omit
        Fields of each request that are set, and those that are left out.
    controls
        SHA-256 of each file of control answers.
    mu
        Shorter answers, in UTF-8 bytes, are no evidence; None = an older plan does not say.
    begun
        When (UTC).
    """

    format: Literal[1] = FORMAT
    kind: Kind
    suspect: str
    alpha: float
    samples: int
    stops_early: bool
    looks: tuple[int, ...]
    exponent: float | None
    answers_to_a_prompt: int
    temperature: float
    system_prompt: str | None
    max_new_tokens: int
    reasoning_tokens: int = 0
    statistic: str
    extra: dict[str, Any] = {}
    omit: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    seed: int
    mu: int | None = None
    begun: str = ""


def lies_in(folder: Path) -> bool:
    """Tell whether an audit has begun in a folder."""
    return (folder / NAME).is_file()


def write(folder: Path, planned: PlanFile) -> PlanFile:
    """Write plan.json with the time, by which the log tells it from one written anew."""
    begun = planned.changed(begun=provenance.moment())
    disk.write_text(folder / NAME, begun.json_text())
    return begun


def read(folder: Path) -> PlanFile:
    """Read plan.json. Raises `ValueError` for one of another format."""
    path = folder / NAME
    try:
        return PlanFile.model_validate(disk.read_json(path, RESTORE))
    except ValidationError as error:
        raise ValueError(explain(error, str(path))) from None


def check(folder: Path, planned: PlanFile, *, of_a_file: bool = False) -> None:
    """Compare a plan with the one that an audit in the folder began with.

    of_a_file: no model is asked, so it does not matter how prompts are sent.

    Raises
    ------
    ValueError
        Naming the fields that differ, both values, and what can be done.
    """
    if not lies_in(folder):
        return
    there = read(folder)
    names = differing(there, planned, of_a_file=of_a_file)
    if not names:
        return
    chosen = [name for name in names if name in OPTIONS] or names  # others follow from these
    said = ", ".join(
        f"{name.replace('_', ' ')} is {_said(getattr(there, name))}, now asked for is "
        f"{_said(getattr(planned, name))}{f' ({OPTIONS[name]})' if name in OPTIONS else ''}"
        for name in chosen
    )
    helps = "repeat it as it was, or begin another audit with another --out, which the log counts"
    batch = pending.under_way(folder)
    if batch is not None and batch.asked_for:
        helps = (
            f"repeat it as it was, with --batch: a batch is under way ({pending.NAME}), and "
            "another audit would pay for its questions again"
        )
    raise ValueError(f"{folder / NAME}: {said}; a plan is fixed before the first question: {helps}")


def differing(there: PlanFile, planned: PlanFile, *, of_a_file: bool = False) -> list[str]:
    """Name the fields in which two plans differ, those with an option first; as `check` has it."""
    free = {"begun", *(ASKING if of_a_file else ()), *(() if there.mu is not None else ("mu",))}
    fields = dict.fromkeys([*OPTIONS, *PlanFile.model_fields])
    return [n for n in fields if n not in free and getattr(there, n) != getattr(planned, n)]


def _said(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
