"""Records whose JSON is read by people."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from dsi_core.runtime import disk
from dsi_core.settings.strict import Strict

RESTORE = "restore it from a copy: nothing else knows what it held"  # should a file be damaged


def read(path: Path, known: int, remedy: str) -> dict[str, Any]:
    """Read the JSON of such a record.

    Parameters
    ----------
    known
        The format that this version reads.
    remedy
        What to do with a record of another format, other than using the version that wrote it.

    Raises
    ------
    ValueError
        For a damaged file, and for one of another format.
    """
    content = disk.read_json(path, RESTORE)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged (it holds no JSON object): {RESTORE}")
    number = content.get("format", 1)
    if number != known:
        raise ValueError(
            f"{path} is in format {number}; this version of dsi_core reads format {known}: use the "
            f"version that wrote it, or {remedy}"
        )
    return content


class Readable(Strict):
    """A record whose JSON has words for names: "of at most" is the field `of_at_most`.

    NaN and infinite numbers are null there.
    """

    model_config = ConfigDict(
        alias_generator=lambda field: field.replace("_", " "), allow_inf_nan=True
    )

    def json_text(self) -> str:
        """Write it as JSON, one field a line."""
        return self.model_dump_json(by_alias=True, indent=1)
