"""Where an audit's data is read from, and which columns hold prompt and output (before step 1)."""

from itertools import islice
from pathlib import Path
from typing import Any

from dsi_core.data.fields import names_of
from dsi_core.data.files import Reading, records
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Left

LAYOUTS = [  # (prompt columns, output column) that are recognised without being named
    (("instruction", "input"), "output"),
    (("instruction", "input"), "response"),
    (("instruction", "context"), "response"),
    (("instruction",), "output"),
    (("instruction",), "response"),
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("prompt",), "output"),
    (("prompt",), "answer"),
    (("prompt",), "chosen"),
    (("question", "context"), "answer"),
    (("question",), "answer"),
    (("question",), "response"),
    (("question",), "chosen"),
    (("q",), "a"),
    (("query",), "response"),
    (("query",), "answer"),
    (("input",), "output"),
    (("input",), "preferred_output"),
]
BEFORE = ("system", "system_prompt", "history")  # columns that may stand before a prompt's, or not
CONVERSATIONS = ("conversations", "messages", "conversation", "dialogue", "dialog", "contents")
SYSTEM = ("system", "systeminstruction", "system_instruction")  # columns beside a conversation
PREFERRED, REJECTED = "chosen", "rejected"  # both alone: each holds the prompt too
HUB = "hub:"
SAMPLE = 1000  # records in which columns are looked for: one alone may lack what is optional
OF_FILES = ("encoding", "separator", "quotes")  # settings of `Data` that a file alone has
OF_THE_HUB = ("config", "split", "revision")


def source(
    given: str,
    profile: Profile,
    *,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    rows: int | None = None,
    **reading: Any,
) -> Data:
    """Find where a dataset is read from: one of the profile by its name, a file, or the hub.

    Parameters
    ----------
    given
        A name in `profile.data`, a path, or "hub:owner/name".
    prompt, output
        The columns. Of a file they may be left out if they are one of `LAYOUTS` or `CONVERSATIONS`.
    rows
        A random sample of this many; None = as set, or all.
    reading
        More settings of `Data`: conversations, drop, those of `OF_FILES` and `OF_THE_HUB`; None =
        not given.

    Raises
    ------
    ValueError
        With the columns there are when none or more than one layout fits, for a file that is not
        there, and for settings that this kind of source does not have.
    """
    reading = {name: value for name, value in reading.items() if value is not None}
    sample = {} if rows is None else {"rows": rows}
    if given in profile.data:
        if prompt or output or set(reading) - {"drop"}:
            raise ValueError(
                f"{given!r} is a dataset of profile {profile.name!r}, whose columns are set there"
            )
        return profile.data[given].changed(**sample, **reading)
    named = bool(prompt) or output is not None or "conversations" in reading
    if not given.startswith(HUB) and not named and not Path(given).exists():
        raise ValueError(
            f"{given!r} is neither a file, nor hub:owner/name, nor a dataset of "
            f"profile {profile.name!r}: {', '.join(profile.data)}"
        )
    return outside(given, prompt=prompt, output=output, **reading).changed(**sample)


def fitting(given: str, reading: dict[str, Any]) -> dict[str, Any]:
    """Give the settings that fit a source beside D: those of the hub or of files, and common ones.

    A dataset of the profile has its own.
    """
    if given.startswith(HUB):
        return {k: v for k, v in reading.items() if k not in OF_FILES}
    of_profile = not Path(given).exists()
    return {k: v for k, v in reading.items() if k not in OF_THE_HUB and not of_profile}


def outside(
    given: str | Path, *, prompt: tuple[str, ...] = (), output: str | None = None, **reading: Any
) -> Data:
    """Give the source that a file or hub dataset is, its columns named or recognised (`source`)."""
    reading = {name: value for name, value in reading.items() if value is not None}
    if output in prompt:
        raise ValueError(f"{output!r} is given as --prompt and as --output; they are two columns")
    named = bool(prompt) or output is not None or "conversations" in reading
    if str(given).startswith(HUB):
        _refuse(given, "a hub dataset", reading, OF_FILES)
        if not named:
            raise ValueError(
                f"{given}: name its columns with --prompt and --output, or with --conversations"
            )
        name = str(given).removeprefix(HUB)
        return Data(hub=name, prompt=list(prompt), output=output, **reading)
    _refuse(given, "a file", reading, OF_THE_HUB)
    path = str(Path(given).resolve())
    if named:
        return Data(path=path, prompt=list(prompt), output=output, **reading)
    how = Data(path=path, conversations="any", **reading)  # checks the settings
    found = _recognised(Path(path), Reading(how.encoding, how.separator, how.quotes))
    return Data(path=path, **found, **reading)


def to_drop(given: str | None) -> list[Left] | None:
    """Read what may be left out, "empty,duplicates"; None where nothing is given."""
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if unknown := [name for name in names if name not in set(Left)]:
        raise ValueError(f"--drop {unknown[0]!r}; allowed: {', '.join(Left)}")
    return [Left(name) for name in dict.fromkeys(names)]


def _refuse(given: str | Path, kind: str, reading: dict[str, Any], others: tuple) -> None:
    if wrong := [f"--{name}" for name in others if name in reading]:
        raise ValueError(f"{given} is {kind}, which has no {', '.join(wrong)}")


def _recognised(path: Path, how: Reading) -> dict[str, Any]:
    """The columns of the only known layout that fits a file's first records."""
    first = _fields(path, how)
    real = {str(column).lower(): column for column in first}  # "Instruction" is known too
    if len(real) < len(first):
        raise ValueError(
            f"{path}: columns {', '.join(first)}, of which some differ by case alone; name those "
            "that are meant with --prompt and --output"
        )
    fits = [(p, o) for p, o in LAYOUTS if {*p, o} <= set(real)]
    longest = [
        (p, o) for p, o in fits if not any(set(p) < set(q) and o == other for q, other in fits)
    ]
    settings = [_layout(p, o, real, first) for p, o in longest]
    system = next((real[c] for c in SYSTEM if c in real), None)
    settings += [{"conversations": real[c], "system": system} for c in CONVERSATIONS if c in real]
    if not settings and {PREFERRED, REJECTED} <= set(real):
        return {"conversations": real[PREFERRED], "rejected": real[REJECTED]}
    if len(settings) != 1:
        said = _unknown(list(first), len(settings))
        if {".csv", ".tsv"} & {ending.lower() for ending in path.suffixes}:
            said += "; the first line of a CSV file has to name them"
        raise ValueError(f"{path}: {said}")
    return settings[0]


def _fields(path: Path, how: Reading) -> dict[str, Any]:
    """The fields of a file's first records, each with the first value that is there."""
    found: dict[str, Any] = {}
    for i, record in enumerate(islice(records(path, how), SAMPLE), start=1):
        if not isinstance(record, dict):
            raise ValueError(
                f"{path}: record {i} is {type(record).__name__}, needs an object with fields"
            )
        found |= {name: value for name, value in record.items() if _absent(found.get(name))}
    if not found:
        raise ValueError(f"{path}: holds no rows")
    return found


def _absent(value: Any) -> bool:
    return value in (None, "") or value != value  # the last: NaN


def _layout(
    prompt: tuple[str, ...], output: str, real: dict[str, str], first: dict
) -> dict[str, Any]:
    before = [real[column] for column in BEFORE if column in real]
    columns = [real[column] for column in prompt]
    settings: dict[str, Any] = {"prompt": [*before, *columns], "output": real[output]}
    if before:
        settings["may_be_empty"] = [*before, *columns[1:]]
    label = real.get("label")
    if output == "completion" and label and str(first[label]).lower() in ("true", "false"):
        spelled = ["False"] if isinstance(first[label], bool) else ["False", "false", "FALSE"]
        settings["without"] = {label: spelled}  # what a model is tuned not to say
    return settings


def _unknown(columns: list[str], fits: int) -> str:
    names = names_of(str(name)[:40] for name in columns)  # without a header they are texts
    if [name.lower() for name in map(str, columns)] in (["text"], ["content"]):
        return (
            f"holds running text ({names}) and no pairs; a model is asked prompts and its answers "
            "are compared with outputs: write both as columns, e.g. the begin and the rest of "
            "each text"
        )
    return (
        f"columns {names} fit {fits} of the known layouts; name them with --prompt and --output, "
        "or with --conversations"
    )
