"""Text of a file, unpacked and decoded; if it cannot be, which byte and which encoding."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
from charset_normalizer import from_bytes

PACKED = (".gz", ".bz2", ".xz", ".zst")
MARKS = [  # byte-order marks; that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
OTHERS = [  # what is no text of records, by its first bytes
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel file: save the sheet as CSV UTF-8"),
    (b"%PDF", "a PDF"),
    (b"ARROW1", "an Arrow file: write it as Parquet (pyarrow, datasets: to_parquet)"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file: run `git lfs pull`"),
    (b"<!doctype html", "a web page, not the file: download the file itself"),
    (b"<html", "a web page, not the file: download the file itself"),
]
AS_UTF8 = "save the file as UTF-8"
HEAD = 4096  # bytes at which a kind of file is recognised
AROUND = 1 << 15  # bytes before and after a wrong one, of which the encoding is guessed
CHUNK = 1 << 20
NEAR = 0.03  # of disorder (0 to 1), by which two encodings fit a text alike
# Accented letters of cp1252 one by one among ASCII and Windows' punctuation: no other script has
# them so, and of a short text the statistics of encodings know too little
LETTER = rb"[\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xff]"
LATIN = re.compile(
    rb"(?:[\x00-\x7f\x80\x84\x85\x91-\x97\xa0\xab\xbb]|" + LETTER + rb"(?!" + LETTER + rb"))*+"
)


class ReadOtherwise(ValueError):
    """A file that an option of a dataset may read as it was meant.

    Attributes
    ----------
    what
        Is wrong with it, and where.
    mend
        What helps in the file; the message tells the option beside it.
    """

    def __init__(self, what: str, mend: str, option: str):
        super().__init__(f"{what}; {mend}, or {option}")
        self.what, self.mend = what, mend


@cache
def tell_once(text: str) -> None:
    """Warn once a process: a file is read several times."""
    warnings.warn(text, stacklevel=3)


def unpacked(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacked if its first bytes say gzip, bzip2, xz or zstd."""
    with path.open("rb") as file:
        head = file.read(10)
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if head.startswith(b"BZh") and head[4:] == b"1AY&SY":
        return bz2.open(path)
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return pa.input_stream(str(path), compression="zstd")
    return path.open("rb")


def head_of(path: Path) -> bytes:
    """Give a file's first unpacked bytes."""
    with unpacked(path) as file:
        return file.read(HEAD)


@contextmanager
def opened(path: Path, encoding: str | None, newline: str | None = None) -> Iterator[IO[str]]:
    """Open a file of records as text.

    Parameters
    ----------
    encoding
        None = UTF-8. A byte-order mark says more than any name.
    newline
        As `open` takes it.

    Raises
    ------
    ValueError
        For a file that is no text; for bytes that are not in the encoding, with line, offset and
        the likely encoding; for an unknown encoding, or one that needs a byte-order mark.
    """
    head = head_of(path)
    for start, what in OTHERS:
        if head.lower().startswith(start.lower()):
            raise ValueError(f"{path} is {what}")
    if head[257:262] == b"ustar":
        raise ValueError(f"{path} is a tar archive: unpack it, and give one file of it")
    used = next((name for mark, name in MARKS if head.startswith(mark)), encoding or "utf-8")
    if used == "utf-8":
        _refuse_zeros(head, path)
    try:
        with unpacked(path) as raw, io.TextIOWrapper(raw, used, newline=newline) as file:
            yield file
    except LookupError:
        raise ValueError(
            f"--encoding {used!r} (in a profile encoding) is no text encoding that Python knows"
        ) from None
    except UnicodeError:
        raise _misread(path, used) from None


def _refuse_zeros(head: bytes, path: Path) -> None:
    """UTF-16 without a mark is valid UTF-8, full of zeros."""
    zeros = [i for i, byte in enumerate(head) if byte == 0]
    if not zeros:
        return
    odd = sum(i % 2 for i in zeros)
    if len(zeros) > len(head) / 4 and odd in (0, len(zeros)):
        likely = "utf-16-le" if odd else "utf-16-be"
        raise ReadOtherwise(f"{path} is probably {likely}, not UTF-8", AS_UTF8, _given(likely))
    raise ValueError(f"{path} is no text: byte {zeros[0]} is 0")


def _misread(path: Path, encoding: str) -> ValueError:
    """Say which byte is not in the encoding, in which line, and what the encoding may be.

    Or that the byte-order mark is not there which the encoding needs.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read, lines, before = 0, 1, b""
    with unpacked(path) as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                # no byte-order mark: until Python 3.12 no byte is named
                if not isinstance(error, UnicodeDecodeError) or "BOM" in error.reason:
                    return _no_mark(path, encoding, error)
                kept: bytes = error.object  # what was left of the chunk before, and this one
                at = read + len(chunk) - len(kept) + error.start
                lines += kept[: error.start].count(b"\n")
                after = kept[error.start :] + file.read(AROUND)
                before = (before + kept[: error.start])[-AROUND:]
                wrong = kept[error.start]
                if not chunk:
                    raise ValueError(
                        f"{path} ends within a character ({_named(encoding)}): was it cut?"
                    ) from None
                break
            assert chunk, "it was not in the encoding a moment ago"
            read, lines, before = read + len(chunk), lines + chunk.count(b"\n"), chunk[-AROUND:]
    said = f"{path}, line {lines}: byte 0x{wrong:02x} at offset {at} is not {_named(encoding)}"
    line = before.rpartition(b"\n")[2] + after.partition(b"\n")[0]
    sample = before + after[:AROUND]
    as_utf8 = sample.decode("utf-8", errors="replace")
    damaged = as_utf8.count("\ufffd")
    if encoding.startswith("utf-8") and sum(c > "\x7f" for c in as_utf8) > 2 * damaged:
        return ValueError(
            f"{said}; the text around it is, so that this character is damaged: mend it in the file"
        )
    likely = _likely(sample)
    if likely is None:
        named = "name its encoding with --encoding (in a profile encoding)"
        return ReadOtherwise(said, AS_UTF8, named)
    shown = line.decode(likely, errors="replace").strip()[:60]
    said += f"; it is probably {likely}, in which the line is {shown!r}"
    return ReadOtherwise(said, AS_UTF8, _given(likely))


def _no_mark(path: Path, encoding: str, error: UnicodeError) -> ValueError:
    name = codecs.lookup(encoding).name
    named = f"give --encoding {name}-le or {name}-be, or " if name in ("utf-16", "utf-32") else ""
    return ValueError(
        f"{path}: {error}; {named}leave --encoding out where it is UTF-8 (in a profile encoding)"
    )


def _likely(sample: bytes) -> str | None:
    """The likely encoding; of those that fit alike, the one that Windows writes most."""
    if LATIN.fullmatch(sample):
        return "cp1252"
    found = list(from_bytes(sample))
    if not found:
        return None
    alike = {name for one in found if one.chaos <= found[0].chaos + NEAR for name in _names(one)}
    return "cp1252" if "cp1252" in alike else found[0].encoding


def _names(found: Any) -> list[str]:
    return [found.encoding, *found.could_be_from_charset]


def _given(encoding: str) -> str:
    return f"give --encoding {encoding} (in a profile encoding: {encoding})"


def _named(encoding: str) -> str:
    return "UTF-8" if encoding.startswith("utf-8") else encoding
