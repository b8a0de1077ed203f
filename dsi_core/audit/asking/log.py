"""audits.jsonl: every audit of a kit or a preparation that was answered, beside it.

So auditing one suspect again and again, with other settings until one finds something, is counted.

An audit is entered before the first answer to its questions is kept (or, without any, when it has
come to its end): an audit without answers can accuse nobody. An entered audit stays counted; where
its answers are gone, it begins anew as another audit. The auditor's own runs write the log, and
none removes a line. So it keeps an honest auditor's count; it cannot stop somebody who deletes it,
copies the kit, prepares the same data once more, or asks in another way.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from dsi_core.runtime import disk, provenance
from dsi_core.settings.strict import Strict

NAME = "audits.jsonl"
TORN = " (torn)"  # ends a line that a crash cut off: it is left as it was


class Entry(Strict):
    """One audit.

    Attributes
    ----------
    audit
        Names it: a rerun that goes on is the same.
    suspect, key
        Its name, and what it is (an address and a model, a folder's content).
    folder
        The name of the audit's folder.
    place
        Where that is, from the log's own; "" = not known.
    alpha
        The error that this audit alone allows.
    settings
        How the suspect is asked, how many samples there are, and the hashes of control answers.
    begun, ended
        When (UTC); None = it never came to its end.
    answer, p
        Its outcome.
    size, sha256
        Of the answers that it came from, in bytes; None = older logs do not say.
    """

    audit: str
    suspect: str
    key: str
    folder: str
    place: str = ""
    alpha: float
    settings: dict[str, Any]
    begun: str
    ended: str | None = None
    answer: str | None = None
    p: float | None = None
    size: int | None = None
    sha256: str | None = None


def begin(place: Path, entry: Entry) -> bool:
    """Enter an audit, once. Returns whether the place could be written to."""
    if any(known.audit == entry.audit for known in read(place)):
        return True
    return _append(place, entry.model_dump(exclude_none=True))


def end(place: Path, audit: str, answer: str, p: float | None, kept: bytes) -> None:
    """Enter how an audit ended, unless that is what the log says of it already.

    kept: its answers as they lie on the disk.
    """
    said = {"answer": answer, "p": p, "size": len(kept), "sha256": _hash(kept)}
    known = _known(place, audit)
    if known is None or any(getattr(known, name) != value for name, value in said.items()):
        _append(place, {"audit": audit, "ended": provenance.now(), **said})


def lacks(place: Path, audit: str, kept: bytes) -> bool:
    """Tell whether answers are gone that an audit had: asking for them anew is another try.

    Answers are only added, so that those it ended with still come first. If an audit never ended,
    the log only knows that it had some.
    """
    known = _known(place, audit)
    if known is None or known.size is None:
        return known is not None and not kept
    return _hash(kept[: known.size]) != known.sha256


def was_in(place: Path, folder: str) -> bool:
    """Tell whether an audit had answers in a folder, named as `Entry.place`."""
    return any(known.place == folder for known in read(place))


def read(place: Path) -> list[Entry]:
    """Read the audits in the order in which they began; none without a log that `may_be_read`.

    A last line without its end was cut off by a crash, and does not count.
    """
    path = place / NAME
    lines = _lines(path)
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        said = _said(line)
        if said is not None:
            found[said["audit"]] = {**found.get(said["audit"], {}), **said}
        elif line and number < len(lines) and not line.endswith(TORN):
            raise ValueError(f"{path}, line {number}: is no entry; no line may be changed")
    return [Entry.model_validate(said) for said in found.values() if "begun" in said]


def may_be_read(place: Path) -> bool:
    """Tell whether it is known what a log says; beside a shared preparation it may be another's."""
    path = place / NAME
    return not path.is_file() or os.access(path, os.R_OK)


def of_suspect(place: Path, key: str) -> list[Entry]:
    """Read the audits of one suspect, by its key."""
    return [entry for entry in read(place) if entry.key == key]


def _known(place: Path, audit: str) -> Entry | None:
    return {entry.audit: entry for entry in read(place)}.get(audit)


def _hash(kept: bytes) -> str:
    return hashlib.sha256(kept).hexdigest()


def _append(place: Path, said: dict[str, Any]) -> bool:
    """Add a line that its owner alone may read."""
    line = json.dumps(said, ensure_ascii=False) + "\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    path = place / NAME
    try:
        number = disk.no_link(path, flags, 0o600)
    except OSError:  # a disc that cannot be written to, somebody else's folder
        return False
    last = _lines(path)[-1]
    with open(number, "a", encoding="utf-8") as file:
        if last:  # close a line that a crash left open
            file.write("\n" if _said(last) else f"{TORN}\n")
        file.write(line)
        disk.flush(file)
    return True


def _lines(path: Path) -> list[str]:
    """The lines of a log, the last one without an end: "" where every line has one."""
    if not path.is_file() or not os.access(path, os.R_OK):
        return [""]
    return path.read_text(encoding="utf-8", errors="replace").split("\n")  # a letter may be torn


def _said(line: str) -> dict[str, Any] | None:
    """What a line says; None where it is no entry."""
    try:
        said = json.loads(line)
    except json.JSONDecodeError:
        return None
    return said if isinstance(said, dict) and "audit" in said else None
