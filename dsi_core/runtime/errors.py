"""What an error means to a user, in one line with what helps: on the console and in notebooks."""

import errno
import os
import re
import sqlite3
from enum import StrEnum
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from dsi_core.runtime.environment import one_line
from dsi_core.runtime.hub import TO_DO, Access

LONGEST = 600  # characters of a message
KEPT = "what was finished is kept: the same command or cell goes on from there"
PLACES = (
    "choose another place: --out, --html or --figures-dir (in a notebook figures_dir), $DSI_STORE "
    "for the store, $HF_HOME for models of the hub"
)
SOFT = f"set $DSI_LOCKS=soft for every process, or {PLACES}"

# What helps, by what the system says
REMEDIES = {
    errno.ENOSPC: f"no space is left on this disk: free some, or {PLACES}; {KEPT}",
    errno.EDQUOT: f"your quota of this disk is used up: free some, or {PLACES}; {KEPT}",
    errno.EROFS: f"this place can only be read: {PLACES}",
    errno.EACCES: f"you may not read or write there: {PLACES}",
    errno.EPERM: f"you may not do this there: {PLACES}",
    errno.EMFILE: "too many files are open: allow more (ulimit -n 4096), or set DSI_WORKERS or "
    "--concurrency lower",
    errno.ENFILE: "too many files are open on this machine: set DSI_WORKERS lower",
    errno.ENAMETOOLONG: "this path or name is too long: take a shorter --out or $DSI_STORE",
    errno.ENOTDIR: f"a file lies where a folder is needed: move it away, or {PLACES}",
    errno.EEXIST: f"a file lies where a folder is needed: move it away, or {PLACES}",
    errno.EISDIR: "this is a folder, and a file is needed: name the file in it",
    errno.ENOENT: "there is no such file or folder: check the path and the working directory",
    errno.ENOMEM: "no memory is left: set DSI_WORKERS=1, or a smaller batch_size in the profile",
    errno.EIO: f"the disk cannot be read or written: {PLACES}; {KEPT}",
    errno.ESTALE: "this network drive was taken away or changed meanwhile: connect it anew",
    errno.ENOLCK: f"this disk has no locks, which keep two runs apart: {SOFT}",
    errno.EOPNOTSUPP: f"this disk cannot do what is needed there, as locks: {SOFT}",
    errno.ENOSYS: f"this disk cannot do what is needed there, as locks: {SOFT}",
}
# Libraries in Rust end a message by the system's number; SQLite has numbers of its own
OF_RUST = re.compile(r"\(os error (\d+)\)")
OF_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
# Libraries of which an error says that the hub, or the way to it, does not answer
HUB = {"datasets", "huggingface_hub", "requests", "urllib3", "httpx", "httpx2", "httpcore"}
OF_HUB = ("huggingface.co", "on the Hub", "SOCKS proxy")  # what they say in Python's own errors
UNREACHED = ("Connect", "Offline", "LocalEntry", "reach", "Timeout", "connect")
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


class Whose(StrEnum):
    """Who can mend it."""

    USER = "user"
    SERVICE = "service"  # that failed for good
    FAULT = "fault"  # nobody foresaw it


def said(error: BaseException) -> str:
    """Say in one line what happened and what helps."""
    if isinstance(error, ModuleNotFoundError) and (group := group_of(error.name or "")):
        return f"{error.name} is missing: pip install 'dsi_core[{group}]'"
    if _is_memory(error):
        return (
            f"{_line(error) or 'no memory is left'}: set DSI_WORKERS=1, or a smaller batch_size "
            f"in the profile; {KEPT}"
        )
    if hub := _of_hub(error):
        return _hub(hub)
    if system := _by_number(error):
        return _of_system(system)
    if isinstance(error, OSError) and "AF_UNIX" in str(error):
        return f"{_line(error)}: the sockets of workers lie in $TMPDIR, set it to a shorter folder"
    if whose(error) is not Whose.FAULT:
        return _message(error)
    name = type(error).__name__
    return f"unexpected error: {name}: {_line(error)}; run again with --debug and report it"


def whose(error: BaseException) -> Whose:
    """Tell who can mend an error."""
    if isinstance(error, ValueError | OSError) or _is_memory(error) or _of_hub(error):
        return Whose.USER
    if _by_number(error):
        return Whose.USER
    if isinstance(error, ModuleNotFoundError) and group_of(error.name or ""):
        return Whose.USER
    if type(error).__module__.startswith("dsi_core.services."):
        return Whose.SERVICE
    return Whose.USER if _ours(error) else Whose.FAULT


def group_of(module: str) -> str | None:
    """The dependency group that brings a module ("trl" -> "tune"), read from this package."""
    for line in requires("dsi_core") or []:
        name, _, group = line.partition("; extra == ")
        if group and name.replace("-", "_").lower() == module.partition(".")[0].lower():
            return group.strip("\"'")
    return None


def _by_number(error: BaseException) -> OSError | None:
    """The system's error with its number, also where a library raises it as one of its own."""
    if isinstance(error, OSError):
        return error if error.errno is not None else None
    if isinstance(error, ValueError) or _ours(error):
        return None
    number = OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if number is None and (found := OF_RUST.search(str(error))):
        number = int(found[1])
    return OSError(number, os.strerror(number)) if number else None


def _of_system(error: OSError) -> str:
    number = error.errno
    place = error.filename2 or error.filename
    what = f"{_text(place)}{_of_store(place)}: " if place is not None else ""
    remedy = REMEDIES.get(number or 0)
    reason = error.strerror or type(error).__name__
    return f"{what}{remedy}" if remedy else f"{what}{reason}: look at this place and try again"


def _of_store(place: Any) -> str:
    """Name the store's variable where a path is in it, or one above it that is no folder."""
    store = os.environ.get("DSI_STORE")
    if not store or not isinstance(place, str | bytes | os.PathLike):
        return ""
    here, there = Path(os.fsdecode(place)), Path(store)
    above = there.is_relative_to(here) and not os.path.isdir(here)
    return f" ($DSI_STORE is {_text(store)})" if above or here.is_relative_to(there) else ""


def _text(path: Any) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        return f"file {path}"
    return os.fsdecode(path).encode(errors="backslashreplace").decode()


def _is_memory(error: BaseException) -> bool:
    """Whether memory ran out: this machine's, or a GPU's, which torch calls a RuntimeError."""
    said_so = isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    return isinstance(error, MemoryError) or said_so


def _of_hub(error: BaseException | None) -> BaseException | None:
    """The error of a library that speaks to the hub, in the chain of its causes."""
    while error is not None and not _ours(error):
        libraries = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
        plain = isinstance(error, OSError | ImportError) and getattr(error, "errno", None) is None
        if libraries & HUB or (plain and any(word in str(error) for word in OF_HUB)):
            return error
        error = None if isinstance(error, ValueError) else error.__cause__ or error.__context__
    return None


def _ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("dsi_core.")


def _hub(error: BaseException) -> str:
    """Say what the hub refused, or that it was not reached, and what helps."""
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    line = _line(error)
    if isinstance(error, ImportError):
        return f"the model hub: {line}; the proxy is set by ${_proxy()}"
    if any(word in f"{names} {line}" for word in UNREACHED):
        proxy = f" through the proxy of ${_proxy()}" if _proxy() else ""
        offline = ", $HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") else ""
        return (
            f"the model hub cannot be reached{proxy}{offline}: give a file or a folder of this "
            f"machine, or mend the way to it ({line})"
        )
    remedy = "try again, or give a file or a folder of this machine"
    if "Gated" in names:
        remedy = TO_DO[Access.NO_TOKEN]
    elif "NotFound" in names:
        remedy = TO_DO[Access.MISSING]
    return f"the model hub: {line}: {remedy}"


def _proxy() -> str | None:
    """The variable that sets a proxy, as the hub's library reads them."""
    return next((name for name in PROXIES if os.environ.get(name)), None)


def _message(error: BaseException) -> str:
    """An error's message; of settings that pydantic refuses, which and why."""
    refused = error.errors() if hasattr(error, "errors") and callable(error.errors) else []
    lines = []
    for entry in refused:
        place = ".".join(map(str, entry["loc"]))
        why = entry["msg"].removeprefix("Value error, ")
        if isinstance(entry.get("input"), int | float):  # a text may be long, or a secret
            why += f" (got {entry['input']:g})"
        lines.append(f"{place}: {why}" if place else why)
    return "; ".join(lines) or _line(error, LONGEST * 4)


def _line(error: BaseException, longest: int = LONGEST // 2) -> str:
    """An error's message on one line."""
    return one_line(error).rstrip(".:")[:longest]
