"""Files on disk: each is replaced in one step, and an error names a damaged one."""

import errno
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from dsi_core.runtime.environment import one_line

STALE_SECONDS = 0.1  # after which a file that another machine replaced is looked for anew


def read_json(path: Path, remedy: str = "") -> Any:
    """Read JSON that this package wrote.

    remedy: what to do when it is no JSON any more; by default, to remove an entry of the store.

    Raises
    ------
    ValueError
        Naming the file, where a write was cut off or the file was changed.
    """
    try:
        return json.loads(_text(path))
    except ValueError as error:  # not UTF-8, not JSON
        remedy = remedy or f"remove {path.parent}, what it held is made again"
        raise ValueError(f"{path} is damaged ({error}): {remedy}") from None


def _text(path: Path) -> str:
    """On a network disk a file that is replaced while it is opened is stale: read the new one."""
    for _ in range(5):
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            time.sleep(STALE_SECONDS)
    return path.read_text(encoding="utf-8")


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file of the store. Raises `ValueError`, naming the file, for a damaged one."""
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        # Of a damaged page pyarrow raises a plain OSError without a number; others are the system's
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno):
            raise
        reason = one_line(error, 200)
        raise ValueError(
            f"{path} is damaged ({reason}): remove {path.parent}, what it held is made again"
        ) from None


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Replace a text file in one step: a reader, or a crash, sees the old or the new, never a part.

    private: only its owner may read it (mode 0600, from the first byte); else the umask decides.
    """
    with replacing(path, private=private) as file:
        file.write(text.encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Replace a Parquet file in one step, as `write_text` does."""
    with replacing(path) as file:
        file.write(table.to_parquet())


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` once it is whole and on the disk.

    After an error nothing is replaced, and it names `path`: nobody knows the temporary name, and of
    a full disk the system says no place. private: as of `write_text`.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # tempfile's ignore the umask
    mode = 0o600 if private else 0o666
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            flush(file)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def appending(path: Path, *, private: bool = False) -> Iterator[Callable[[Iterable[Any]], None]]:
    """Give a function that adds values as lines of JSON; on its return they are on the disk.

    A line that a crash left open is closed before them. private: as of `write_text`, for a file
    that is not there yet.
    """
    mode = 0o600 if private else 0o666
    with open(path, "ab+", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")

        def write(values: Iterable[Any]) -> None:
            lines = [json.dumps(value, ensure_ascii=False) + "\n" for value in values]
            file.write("".join(lines).encode())
            flush(file)

        yield write


def whole_lines(path: Path) -> Iterator[Any]:
    """Read the values of a file that `appending` wrote, if there is one, without torn lines."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # an unfinished last line alone can be broken: newlines come with lines


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def no_link(path: str | Path, flags: int, mode: int = 0o666) -> int:
    """Open a file as `os.open`, but no link, which may lead anywhere in a folder somebody sent.

    Raises `OSError` for one, where the system can tell.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), mode)


def flush(file) -> None:
    """Bring what was written to an open file onto the disk, past a crash."""
    file.flush()
    os.fsync(file.fileno())
