"""What the book is made of: executed notebooks, pages, and the files to which these link.

They are laid out as they lie in the repository, so that their links to each other hold; what a
reader of a site has no use for is left out: papermill's own cells, and controls without a kernel.
"""

import json
import re
import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from dsi_core.reproduce import needs, run
from dsi_core.runtime import disk, store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as profiles

BOOK = "notebooks/book"  # Sphinx's settings, the first page, the style
# [text](target "title") and src="target", without the section
LINK = re.compile(r"""(?:\]\(|src=")<?([^)\s"#>]+)""")
# a link to the file of the explorer, which a site would offer for saving: it opens the page of it
OF_A_FILE = re.compile(r"\]\(((?:\.\./)*)figures/\w+/explore\.html\)")
WITHOUT_KERNEL = "*Controls stand here in JupyterLab (`make lab`), where a kernel runs.*"
IN_THE_EXPLORER = f"{WITHOUT_KERNEL} [The explorer](../explorer.md) needs none."
NO_EXPLORER = "# Open the explorer\n\nThis profile has none yet: `dsi explore --html` writes it."
NOT_RUN = "*Without results here: run it in JupyterLab (`make lab`), on what you made yourself.*"
LEFT_OUT = "*Left out: {}.*"
LACKING = "Left out of this book, as profile {!r} has no sections for them: {}."
CONTENTS = re.compile(r"```\{toctree\}\n.*?```\n*", re.DOTALL)  # a part of the first page's
HIDDEN = "hide-input"


def stale(profile: str) -> list[Path]:
    """The numbered notebooks whose executed copy is missing, unfinished or older than its sources.

    Sources are the notebook, the profile's file and the package. One that needs a section which
    the profile lacks is none of them.
    """
    settings = profiles.load_profile(profile)
    shared = [ROOT / "params" / f"{profile}.yaml", *(ROOT / "dsi_core").rglob("*.py")]
    newest = max(path.stat().st_mtime for path in shared)
    return [
        notebook
        for notebook in run.notebooks()
        if not needs.lacks(settings, notebook)
        and not _holds(run.copy_of(profile, notebook), max(newest, notebook.stat().st_mtime))
    ]


def _holds(copy: Path, since: float) -> bool:
    if not copy.exists() or copy.stat().st_mtime < since:
        return False
    try:
        return bool(nbformat.read(copy, as_version=4).metadata.get("papermill", {}).get("passed"))
    except ValueError:  # cut off while it was written
        return False


def lay_out(profile: str, folder: Path) -> None:
    """Bring a folder to what the book is made of; what is as it was stays untouched.

    A notebook that needs a section which the profile lacks is in no contents; its page, to which
    others link, says why.

    Parameters
    ----------
    profile
        Whose executed notebooks.
    folder
        Files in it that belong to no page are removed.
    """
    texts = {
        **{f"{BOOK}/{name}": name for name in ("index.md", "explorer.md")},
        **{_place(path): _place(path) for path in (ROOT / "notebooks" / "pages").glob("*.md")},
        "CHANGELOG.md": "CHANGELOG.md",
    }
    pages = {place: (ROOT / name).read_text(encoding="utf-8") for name, place in texts.items()}
    if not explorer(profile).exists():
        pages["explorer.md"] = NO_EXPLORER
    settings, lacking = profiles.load_profile(profile), dict[str, list[str]]()
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if sections := needs.lacks(settings, notebook):
            made = _left_out(_read(notebook), needs.said(settings, sections))
            lacking[_place(notebook.with_suffix(""))] = sections
        else:
            copy = run.copy_of(profile, notebook)
            made = page(_read(copy if copy.exists() else notebook))
        pages[_place(notebook)] = nbformat.writes(made)
    pages["index.md"] = _without(pages["index.md"], profile, lacking)
    wanted = {*pages}
    for place, as_written in pages.items():
        text = OF_A_FILE.sub(r"](\1explorer.md)", as_written)
        _write(folder / place, text)
        for file in _linked(place, text) - wanted:
            wanted.add(file)
            _copy(ROOT / file, folder / file)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def _left_out(notebook: NotebookNode, why: str) -> NotebookNode:
    """The page of a notebook that is left out: its title, and why."""
    title = notebook.cells[0].source.partition("\n")[0]
    said = nbformat.v4.new_markdown_cell(f"{title}\n\n{LEFT_OUT.format(why)}", id="c00")
    return nbformat.v4.new_notebook(cells=[said], metadata={"orphan": True})  # in no contents


def _without(index: str, profile: str, lacking: dict[str, list[str]]) -> str:
    """The first page without these notebooks in its contents, which it names with their sections.

    lacking: place of a notebook, as the contents name it -> sections that it needs.
    """

    def shortened(contents: re.Match[str]) -> str:
        kept = [
            line for line in contents[0].splitlines(keepends=True) if line.strip() not in lacking
        ]
        names = [line for line in kept if line.strip() and not line.startswith((":", "```"))]
        return "".join(kept) if names else ""

    if not lacking:
        return index
    whom = ", ".join(f"{Path(place).name} ({', '.join(of)})" for place, of in lacking.items())
    before, first, rest = index.partition("```{toctree}")
    return f"{before}{LACKING.format(profile, whom)}\n\n{CONTENTS.sub(shortened, first + rest)}"


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except ValueError:
        raise ValueError(
            f"{path} is no notebook, as where a write was cut off: an executed copy is made anew "
            "without --as-is"
        ) from None


def explorer(profile: str) -> Path:
    """Where a profile's explorer lies, one HTML file that needs no kernel."""
    return ROOT / "figures" / profile / "explore.html"


def page(notebook: NotebookNode) -> NotebookNode:
    """Make a page of the site of a notebook: its code behind a click, no control without a kernel.

    A notebook that has not been executed shows its code, and says so.
    """
    executed = any(cell.get("outputs") for cell in notebook.cells)
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags or ("parameters" in tags and not cells):
            continue  # papermill's own, and what would stand above the title
        if needs.SKIP in tags:
            cell = nbformat.v4.new_markdown_cell(_instead(cell))
        elif cell.cell_type == "code" and (executed or "parameters" in tags):
            cell.metadata["tags"] = sorted({*tags, HIDDEN})
            cell.outputs = [_without_this_machine(output) for output in cell.outputs]
        cells.append(cell)
    if not executed and any(cell.cell_type == "code" for cell in cells):
        cells.insert(1, nbformat.v4.new_markdown_cell(NOT_RUN))
    for number, cell in enumerate(cells):
        cell.id = f"c{number:02}"  # the same at each run
    names = {"kernelspec", "language_info"}
    kept = {name: notebook.metadata[name] for name in names & {*notebook.metadata}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kept)


def _instead(cell: NotebookNode) -> str:
    """What stands for a cell that was not run."""
    if sections := needs.sections_of(cell):
        return LEFT_OUT.format(f"it needs {', '.join(sections)}, which the profile has not")
    return IN_THE_EXPLORER if "explore." in cell.source else WITHOUT_KERNEL


def _without_this_machine(output: NotebookNode) -> NotebookNode:
    """Name files from the repository's root, and the store by its name."""
    said = json.dumps(output, ensure_ascii=False)  # as paths are written
    for place, name in ((store.root(), "store"), (ROOT, "")):
        said = said.replace(f"{place}/", f"{name}/" if name else "")
    return nbformat.from_dict(json.loads(said))


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _linked(place: str, text: str) -> set[str]:
    """Give the files of the repository to which a page links, from its root."""
    targets = [target for target in LINK.findall(text) if ":" not in target]
    paths = [(ROOT / place).parent.joinpath(target).resolve() for target in targets]
    return {_place(path) for path in paths if path.is_file() and path.is_relative_to(ROOT)}


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write_text(path, text)


def _copy(source: Path, path: Path) -> None:
    """Copy a file with its time; what Sphinx has read is not read again."""
    if not path.exists() or path.stat().st_mtime != source.stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, path)
