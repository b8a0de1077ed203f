"""Where an audit's data is read from, and which columns hold prompt and output (before step 1)."""

from pathlib import Path

from dsi_core.data.files import read_file
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
    """Find where a dataset is read from: one of the profile by its name, a file, or the hub.

    Parameters
    ----------
    given
        A name in `profile.data`, a path, or "hub:owner/name".
    prompt, output
        The columns. Of a file they may be left out if they are one of `LAYOUTS` or `CONVERSATIONS`.
    rows
        A random sample of this many; None = as set, or all.

    Raises
    ------
    ValueError
        With the columns there are when none or more than one layout fits, for a file that is not
        there, and for columns given to a dataset of the profile.
    """
    if given in profile.data:
        if prompt or output:
            raise ValueError(
                f"{given!r} is a dataset of profile {profile.name!r}, whose columns are set there"
            )
        known = profile.data[given]
        return known.changed(rows=rows) if rows else known
    on_hub = given.startswith("hub:")
    named = bool(prompt) or output is not None
    if on_hub:
        if not named:
            raise ValueError(f"{given}: name its columns with --prompt and --output")
        hub = given.removeprefix("hub:")
        return Data(hub=hub, prompt=list(prompt), output=output, rows=rows)
    if not named and not Path(given).is_file():
        raise ValueError(
            f"{given!r} is neither a file, nor hub:owner/name, nor a dataset of "
            f"profile {profile.name!r}: {', '.join(profile.data)}"
        )
    found = of_file(given, prompt=prompt, output=output)
    return found if rows is None else found.changed(rows=rows)


def of_file(given: str | Path, *, prompt: tuple[str, ...] = (), output: str | None = None) -> Data:
    """Give the source that a file is, with its columns as named or recognised (see `source`)."""
    path = Path(given).resolve()
    if prompt or output is not None:
        return Data(path=str(path), prompt=list(prompt), output=output)
    return Data(path=str(path), **_recognised(Path(given)))


def _recognised(path: Path) -> dict:
    """The columns of the only known layout that fits a file's first record."""
    first = next(iter(read_file(path)), None)
    if not isinstance(first, dict):
        raise ValueError(
            f"{path}: its first record is {type(first).__name__}, needs an object with fields"
        )
    fits = [(set(p), o) for p, o in LAYOUTS if {*p, o} <= set(first)]
    longest = [(p, o) for p, o in fits if not any(p < q and o == other for q, other in fits)]
    settings: list[dict] = [
        {"prompt": list(p), "output": o} for p, o in LAYOUTS if (set(p), o) in longest
    ]
    settings += [{"conversations": column} for column in CONVERSATIONS if column in first]
    if len(settings) != 1:
        raise ValueError(
            f"{path}: columns {', '.join(first)} fit {len(settings)} of the known layouts; "
            "name them with --prompt and --output"
        )
    return settings[0]
