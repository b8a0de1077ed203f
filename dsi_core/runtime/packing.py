"""Packing a release: what a profile's study left in the store, without weights, for others to read.

The same store gives the same bytes.
"""

import json
import os
import shutil
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dsi_core.runtime import disk, locks, released, store
from dsi_core.runtime.released import Archive, Release
from dsi_core.runtime.store import MANIFEST, SPEC

USED = "used"  # folder of the store: what each notebook looked at, a file for each
UNFINISHED = ".unfinished"  # ending of such a file until its notebook has run to its end
NEW, OLD = "new", "old"  # folders of a release that is written, and of the one that it replaces
# What is released of each kind, beside spec and manifest: nothing else leaves the store.
CONTENT = {
    "near_duplicates": ["near.parquet"],
    "tuned": ["loss.csv"],
    "responses": ["responses.jsonl"],
    "losses": ["losses.parquet"],
    "similarity": ["scores.sqlite", "baseline-*.json"],
    "matching": ["cosines.json"],
    "dpdllm": ["scores.parquet"],
    "attribution": ["scores.parquet"],
    "imitation": ["*.jsonl"],
}
SUMMED = ["answers", "tokens", "pairs", "texts", "samples", "replies", "seconds"]
SINCE_1980 = (1980, 1, 1, 0, 0, 0)  # the oldest time that an archive can give its files


def use_list(profile: str, notebook: str) -> Path:
    """Give the file that names what a notebook looked at when it ran to its end on a profile."""
    return store.root() / USED / profile / f"{notebook}.txt"


def pack(profile: str, out: Path | None = None, *, whole_store: bool = False) -> Release:
    """Write the release of a profile: an archive for each kind of entry, and their manifest.

    It packs the entries that the profile's notebooks read when they last ran from nothing (`dsi
    reproduce`), so that nothing else in a store, such as answers to private prompts, gets out. If
    released answers may be read, nothing is listed: then an entry may be only partly its own.

    Parameters
    ----------
    out
        Its folder, replaced as a whole if it holds a release; default `released.folder_of`.
    whole_store
        Pack every complete entry, whoever made it.

    Raises
    ------
    ValueError
        There is nothing to pack; or a notebook did not run to its end, so that nobody knows what
        else it needs; or the store lacks entries that are released; or `out` holds something else,
        or another run writes it.
    """
    out = (out or released.folder_of(profile)).resolve()
    _put_back(out)
    ours = {MANIFEST, *(f"{kind}.zip" for kind in CONTENT)}
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= ours):
        raise ValueError(
            f"{out} is no folder of released answers alone, and would be replaced by one: give a "
            "new folder (--out)"
        )
    entries = _complete(profile, whole_store)
    if not any(entries.values()):
        raise ValueError(
            f"{store.root()} has no complete entry that a notebook looked at on profile "
            f"{profile!r}: run `dsi reproduce --profile {profile}` first"
        )
    with _new_folder(out) as place:
        files = {
            f"{kind}.zip": _archived(place / f"{kind}.zip", folders)
            for kind, folders in entries.items()
            if folders
        }
        release = _described(profile, entries, files)
        text = json.dumps(release.model_dump(), indent=1, ensure_ascii=False)
        disk.write_text(place / MANIFEST, text + "\n")
    return release


def _beside(out: Path) -> Path:
    """The folder in which what is to take the place of `out` is made; a killed run leaves it."""
    return out.with_name(f".{out.name}.packing")


def _put_back(out: Path) -> None:
    """Remove what a killed run left; the release that it had moved away comes back first."""
    beside = _beside(out)
    if beside.exists():
        with locks.alone(beside):
            if (beside / OLD).exists() and not out.exists():
                os.replace(beside / OLD, out)
            shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `out` once it is filled."""
    beside = _beside(out)
    beside.mkdir(parents=True, exist_ok=True)
    with locks.alone(beside):
        new, old = beside / NEW, beside / OLD
        new.mkdir()
        try:
            yield new
            if out.exists():
                os.replace(out, old)
            try:
                os.replace(new, out)
            except BaseException:
                if old.exists():
                    os.replace(old, out)
                raise
        finally:
            if out.exists() or not old.exists():  # else the next run puts the old one back
                shutil.rmtree(beside, ignore_errors=True)


def _complete(profile: str, whole_store: bool) -> dict[str, list[Path]]:
    """The complete entries of each kind that may be released, by name."""
    if whole_store:
        folders = {path.parent for path in store.root().glob(f"*/*/{MANIFEST}")}
    else:
        _refuse_unfinished(profile)
        lists = sorted((store.root() / USED / profile).glob("*.txt"))
        names = [name for path in lists for name in path.read_text(encoding="utf-8").splitlines()]
        folders = {store.root() / name for name in names}
        _refuse_to_lack(folders, profile)
    return {
        kind: sorted(f for f in folders if f.parent.name == kind and store.manifest(f) is not None)
        for kind in CONTENT
    }


def _refuse_unfinished(profile: str) -> None:
    """A notebook that failed, was interrupted or still runs has not read all that it needs."""
    unfinished = sorted((store.root() / USED / profile).glob(f"*{UNFINISHED}"))
    if unfinished:
        first = unfinished[0]
        raise ValueError(
            f"{', '.join(path.stem for path in unfinished)} did not run to the end on profile "
            f"{profile!r}, and would be released in part: `dsi reproduce --from-nothing --profile "
            f"{profile} --only {first.stem}` goes on; remove {first} to leave it out"
        )


def _refuse_to_lack(folders: set[Path], profile: str) -> None:
    """What is released is there to be made, so that the next release would silently lose it.

    Other incomplete entries were only looked up, such as weights of an untuned model.
    """
    known = {kind: released.own_keys(kind) for kind in CONTENT}
    lacking = [
        folder
        for folder in folders
        if folder.name.rpartition("-")[2] in known.get(folder.parent.name, ())
        and store.manifest(folder) is None
    ]
    if lacking:
        raise ValueError(
            f"{len(lacking)} of {len(folders)} entries that the notebooks looked at are released, "
            f"and not complete in {store.root()}, as {min(lacking).name}: the new release would "
            f"lack them; `dsi reproduce --from-nothing --profile {profile}` makes them"
        )


def _archived(path: Path, folders: list[Path]) -> Archive:
    with zipfile.ZipFile(path, "w") as archive:
        for folder in folders:
            for content in _content(folder):
                info = zipfile.ZipInfo(f"{folder.name}/{content.name}", SINCE_1980)
                info.external_attr = 0o644 << 16
                database = content.suffix == ".sqlite"
                data = _in_order(content) if database else content.read_bytes()
                archive.writestr(info, data, zipfile.ZIP_DEFLATED, 9)
    return Archive(sha256=disk.sha256_of(path), bytes=path.stat().st_size, entries=len(folders))


def _content(folder: Path) -> list[Path]:
    patterns = [SPEC, MANIFEST, *CONTENT[folder.parent.name]]
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _in_order(path: Path) -> bytes:
    """A database with the rows of its tables in the order of their keys, and without gaps."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as target:
        tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
        for name, sql in source.execute(tables).fetchall():
            target.execute(f"{sql} WITHOUT ROWID")  # else the keys are there twice
            rows = source.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            places = ", ".join("?" * len(rows[0])) if rows else ""
            if rows:
                target.executemany(f"INSERT INTO {name} VALUES ({places})", rows)
        target.commit()
        return target.serialize()


def _described(profile: str, entries: dict[str, list[Path]], files: dict[str, Archive]) -> Release:
    """What the entries' specs and manifests say, summed up."""
    precision: Counter[str] = Counter()
    devices: Counter[str] = Counter()
    cpus: Counter[str] = Counter()
    commits: Counter[str] = Counter()
    versions: dict[str, set[str]] = {}
    counts: dict[str, Counter[str]] = {}
    finished = ""
    for kind, folders in entries.items():
        for folder in folders:
            facts = disk.read_json(folder / MANIFEST)
            spec = disk.read_json(folder / SPEC)
            precision.update(set(released.precisions(spec)))
            devices.update([facts["device"]] if "device" in facts else [])
            cpus.update([facts["cpu"]] if "cpu" in facts else [])
            commits.update([facts["commit"]])
            for library, version in facts["versions"].items():
                versions.setdefault(library, set()).add(version)
            known = {name: facts[name] for name in SUMMED if name in facts}
            counts.setdefault(kind, Counter()).update({"entries": 1, **known})
            finished = max(finished, facts["finished"])
    return Release(
        format=store.FORMAT,
        profile=profile,
        precision=dict(sorted(precision.items())),
        devices=dict(sorted(devices.items())),
        cpus=dict(sorted(cpus.items())),
        commits=dict(sorted(commits.items())),
        versions={name: ", ".join(sorted(some)) for name, some in sorted(versions.items())},
        counts={
            kind: {name: round(value, 1) for name, value in some.items()}
            for kind, some in counts.items()
        },
        finished=finished,
        files=files,
    )
