"""Where an audit's data is read from, and which columns hold prompt and output (before step 1)."""

from pathlib import Path

from dsi_core.data import pairs
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data

LAYOUTS = [  # (prompt columns, output column) that are recognised without being named
    (("instruction", "input"), "output"),
    (("instruction", "context"), "response"),
    (("instruction",), "output"),
    (("instruction",), "response"),
    (("prompt",), "completion"),
    (("prompt",), "response"),
    (("prompt",), "output"),
    (("question", "context"), "answer"),
    (("question",), "answer"),
    (("q",), "a"),
]
CONVERSATIONS = ("conversations", "messages")


def source(
    given: str,
    profile: Profile,
    *,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    rows: int | None = None,
) -> Data:
    """Where `given` is read from: a dataset of the profile by its name, a file, or "hub:owner/name".

    prompt, output: the columns; of a file they may be left out if they are one of `LAYOUTS` or `CONVERSATIONS`. Raises
    `ValueError` with the columns there are when none or more than one fits.
    """
    if given in profile.data:
        if prompt or output:
            raise ValueError(
                f"{given!r} is a dataset of profile {profile.name!r}, whose columns are set there"
            )
        return profile.data[given].model_copy(update={"rows": rows} if rows else {})
    place = (
        {"hub": given.removeprefix("hub:")}
        if given.startswith("hub:")
        else {"path": str(Path(given).resolve())}
    )
    if not prompt and output is None:
        if "hub" in place:
            raise ValueError(f"{given}: name its columns with --prompt and --output")
        if not Path(given).is_file():
            raise ValueError(
                f"{given!r} is neither a file, nor hub:owner/name, nor a dataset of profile {profile.name!r}: {', '.join(profile.data)}"
            )
        return Data(**place, **_columns(Path(given)), rows=rows)
    return Data(**place, prompt=list(prompt), output=output, rows=rows)


def _columns(path: Path) -> dict:
    """The columns of the only known layout that fits a file's first record."""
    first = next(iter(pairs.read_file(path)), None)
    if not isinstance(first, dict):
        raise ValueError(
            f"{path}: its first record is {type(first).__name__}, needs an object with fields"
        )
    fits = [{"prompt": list(p), "output": o} for p, o in LAYOUTS if {*p, o} <= set(first)]
    fits = [
        f
        for f in fits
        if not any(set(f["prompt"]) < set(g["prompt"]) and f["output"] == g["output"] for g in fits)
    ]  # with a context rather than without
    fits += [{"conversations": c} for c in CONVERSATIONS if c in first]
    if len(fits) != 1:
        raise ValueError(
            f"{path}: columns {', '.join(first)} fit {len(fits)} of the known layouts; name them with --prompt and --output"
        )
    return fits[0]
