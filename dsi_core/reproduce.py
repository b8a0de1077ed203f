"""Run the notebooks headlessly through papermill, one after another, and say at the end how each went."""

import sys
import time
from pathlib import Path

import nbformat
import papermill as pm
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as params


def notebooks(only: str | None = None) -> list[Path]:
    """The numbered notebooks in their order; `only` = the beginning of one's name ("02"). Raises `ValueError` for an unknown one."""
    found = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    chosen = [n for n in found if only is None or n.name.startswith(only)]
    if not chosen:
        raise ValueError(
            f"no notebook begins with {only!r}; there are: {', '.join(n.name for n in found)}"
        )
    return chosen


def check(notebook: Path, values: dict) -> None:
    """Refuse what papermill only warns about: a parameter that the notebook lacks, or not exactly one parameters cell."""
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = sum("parameters" in c.metadata.get("tags", []) for c in cells)
    if tagged != 1:
        raise ValueError(
            f"{notebook.name}: {tagged} cells are tagged 'parameters', needs exactly one"
        )
    known = pm.inspect_notebook(str(notebook))
    unknown = set(values) - set(known)
    if unknown:
        raise ValueError(
            f"{notebook.name}: unknown parameter {', '.join(sorted(unknown))}; known: {', '.join(known)}"
        )


def execute(notebook: Path, out: Path, values: dict, timeout: int | None = None) -> str | None:
    """Run one notebook with the kernel of this Python; None if every cell ended, else why not.

    The executed copy stays in `out` in either case. Progress bars of the cells appear on this terminal.
    """
    out.mkdir(parents=True, exist_ok=True)
    copy = out / notebook.name
    try:
        pm.execute_notebook(
            str(notebook),
            str(copy).replace("{", "{{").replace("}", "}}"),
            values,
            kernel_name="python3",
            cwd=str(ROOT),
            progress_bar=False,
            execution_timeout=timeout,
            stderr_file=sys.stderr,
        )
    except pm.PapermillExecutionError as error:
        return f"cell {error.exec_count}: {error.ename}: {error.evalue.strip().splitlines()[-1][:300] if error.evalue.strip() else ''} (see {copy})"
    except (CellTimeoutError, DeadKernelError) as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]} (see {copy})"
    done, _ = CoalesceStreamsPreprocessor(enabled=True)(
        nbformat.read(copy, as_version=4), {}
    )  # of a bar the last state, not each one
    nbformat.write(done, copy)
    waiting = [
        i
        for i, c in enumerate(done.cells)
        if c.cell_type == "code"
        and c.metadata.get("papermill", {}).get("status") != "completed"
        and "skip-execution" not in c.metadata.get("tags", [])
    ]
    return f"cell {waiting[0]} never ran (see {copy})" if waiting else None


def reproduce(
    profile: str, only: str | None = None, figures_dir: str = "figures", timeout: int | None = None
) -> bool:
    """Run the notebooks with `profile`; prints a line for each and a summary. True if all passed."""
    params.load_profile(profile)  # refuse a bad profile before any work starts
    chosen = notebooks(only)
    values = {"profile": profile, "figures_dir": figures_dir}
    for notebook in chosen:
        check(notebook, values)
    lines, good = [], True
    for notebook in chosen:
        print(f"{store.now()}  {notebook.name} on {profile} …", flush=True)
        started = time.time()
        why = execute(notebook, ROOT / "executed" / profile, values, timeout)
        place = ROOT / figures_dir / profile
        made = sorted(
            f.name
            for f in place.glob("*.*")
            if f.stat().st_mtime >= started and f.suffix != ".json" and not f.name.startswith(".")
        )
        minutes, seconds = divmod(round(time.time() - started), 60)
        lines.append(
            f"{'passed' if why is None else 'FAILED'}  {notebook.name:24} {minutes:3}:{seconds:02}  {len(made)} files in {place}"
            + (f": {', '.join(made)}" if made else "")
            + (f"\n        {why}" if why else "")
        )
        good &= why is None
    print("\n".join(lines), flush=True)
    return good
