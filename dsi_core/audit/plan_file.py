"""plan.json: what an audit fixed before its first question, so that no rerun can choose again.

One of which nothing was answered or billed yet may be planned anew (`asking.run.begin`).
"""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from dsi_core.audit.readable import RESTORE, Readable
from dsi_core.audit.subject import Kind
from dsi_core.runtime import disk, provenance
from dsi_core.settings.profile import explain

NAME = "plan.json"
FORMAT: Final = 1
OPTIONS = {  # the option that sets a field
    "alpha": "--alpha",
    "samples": "--samples",
    "stops_early": "--ask-all or --stop-early",
    "answers_to_a_prompt": "--responses",
    "temperature": "--temperature",
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
        How many new ones more may be written, for a thought.
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
    """Write plan.json, with the time."""
    begun = planned.changed(begun=provenance.now())
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

    of_a_file: nobody is asked, so how prompts are sent decides nothing.

    Raises
    ------
    ValueError
        Naming the first field that differs, both values, and what can be done.
    """
    if not lies_in(folder):
        return
    there = read(folder)
    if (name := differing(there, planned, of_a_file=of_a_file)) is not None:
        option = f" ({OPTIONS[name]})" if name in OPTIONS else ""
        raise ValueError(
            f"{folder / NAME}: {name.replace('_', ' ')} is {_said(getattr(there, name))}, now "
            f"asked for is {_said(getattr(planned, name))}{option}; a plan is fixed before the "
            "first question: repeat it as it was, or begin another audit with another --out, which "
            "the log counts"
        )


def differing(there: PlanFile, planned: PlanFile, *, of_a_file: bool = False) -> str | None:
    """Name the first field in which two plans differ, None if they are one; as `check` has it."""
    free = {"begun", *(ASKING if of_a_file else ())}
    for name in PlanFile.model_fields:
        fixed, wanted = getattr(there, name), getattr(planned, name)
        if name not in free and fixed != wanted and not (name == "mu" and fixed is None):
            return name
    return None


def _said(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)
