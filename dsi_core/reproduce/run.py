"""Run the notebooks headlessly through papermill, in their order, and say how each went."""

import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

from dsi_core.method.participants import references
from dsi_core.models import responses
from dsi_core.models.sampling import Sampling
from dsi_core.reproduce import needs, summary
from dsi_core.reproduce.summary import End
from dsi_core.runtime import disk, jobs, packing, processes, progress, provenance, released, store
from dsi_core.runtime.devices import cores
from dsi_core.runtime.engines import choice
from dsi_core.runtime.environment import MALLOC, ONE_THREAD, variables
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as profiles

RANDOM_MODELS = (
    "> **Random models: the results on this page mean nothing.** It shows that the code runs."
)
SKIPPED = "> **Some cells were skipped**, which need what {}."
LONGEST_REASON = 300  # characters of an error that the summary repeats
# Loggers that tell of tasks and sockets which nobody waits for once a run is interrupted, and of a
# kernel's death, which is said here
QUIET = ("asyncio", "tornado", "papermill")
# What a library or a worker process writes to stderr, beside Python's own, goes to the terminal as
# progress does, and not into cells; and a kernel says nothing of its sockets or of Ctrl-C.
KERNEL_OPTIONS = (
    "--IPKernelApp.capture_fd_output=False",
    f"--log-level={logging.CRITICAL}",
    *(
        f"--IPKernelApp.exec_lines=__import__('logging').getLogger({name!r}).setLevel('CRITICAL')"
        for name in QUIET
    ),
)
END_SECONDS = 5.0  # how long a process has that is at nothing, before it is killed
SIDE_BY_SIDE = 4  # notebooks at most, whatever the number of cores: each needs a GB of memory


def notebooks(only: str | None = None) -> list[Path]:
    """The numbered notebooks in their order.

    Parameters
    ----------
    only
        The beginning of one's name ("02").

    Raises
    ------
    ValueError
        No notebook begins so.
    """
    numbered = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    chosen = [path for path in numbered if only is None or path.name.startswith(only)]
    if not chosen:
        names = ", ".join(path.name for path in numbered)
        raise ValueError(f"no notebook begins with {only!r}; there are: {names}")
    return chosen


def copy_of(profile: str, notebook: Path) -> Path:
    """Where a notebook's executed copy lies."""
    return (_aside() or ROOT / "executed") / profile / notebook.name


def _aside() -> Path | None:
    """Where one of several processes (`$DSI_PART`) puts copies and figures; None = it leads."""
    part = choice.part()
    return None if part.leads else store.root().resolve() / "parts" / str(part.number)


def check(notebook: Path, values: dict[str, Any]) -> None:
    """Refuse what papermill only warns about.

    Raises
    ------
    ValueError
        A parameter that the notebook lacks, or not exactly one cell tagged `parameters`.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = sum("parameters" in cell.metadata.get("tags", []) for cell in cells)
    if tagged != 1:
        raise ValueError(
            f"{notebook.name}: {tagged} cells are tagged 'parameters', needs exactly one"
        )
    known = papermill.inspect_notebook(_literal(notebook))
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f"{notebook.name}: unknown parameter {', '.join(unknown)}; known: {', '.join(known)}"
        )


class ThisPython(AsyncKernelManager):
    """Starts kernels of this Python, whatever "python3" is among the kernels that are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """What starts a kernel."""
        return KernelSpec(**get_kernel_dict(list(KERNEL_OPTIONS)))


def _literal(path: Path) -> str:
    """A path as papermill takes it, which reads a format string."""
    return str(path).replace("{", "{{").replace("}", "}}")


def execute(
    notebook: Path,
    out: Path,
    values: dict[str, Any],
    timeout: int | None = None,
    banner: str | None = None,
    profile: profiles.Profile | None = None,
) -> str | None:
    """Run one notebook with the kernel of this Python; progress appears on this terminal alone.

    Parameters
    ----------
    out
        Folder of the executed copy, which stays there however the run ended.
    values
        The notebook's parameters.
    timeout
        Seconds allowed for one cell.
    banner
        What the executed copy says below its title before all else.
    profile
        Cells that need a section which it lacks are skipped; None = all cells run.

    Returns
    -------
    str or None
        None if every cell ended, else why not.
    """
    out.mkdir(parents=True, exist_ok=True)
    copy = out / notebook.name
    taken = notebook
    if profile is not None:
        whole = nbformat.read(notebook, as_version=4)
        if lacking := needs.skip_cells(profile, whole):
            _put_below_the_title(whole, SKIPPED.format(needs.said(profile, lacking)))
            disk.write_text(copy, nbformat.writes(whole) + "\n")
            taken = copy
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        papermill.execute_notebook(
            _literal(taken),
            _literal(copy),
            values,
            kernel_name="python3",
            kernel_manager_class=ThisPython,
            cwd=str(ROOT),
            progress_bar=False,
            execution_timeout=timeout,
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as error:
        reason = _last_line(error.evalue)[:LONGEST_REASON]
        return f"cell {error.exec_count}: {error.ename}: {reason} (see {copy})"
    except DeadKernelError:
        return f"the kernel died, as where no memory is left: set DSI_WORKERS=1 (see {copy})"
    except CellTimeoutError as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]} (see {copy})"
    executed = nbformat.read(copy, as_version=4)
    # of what a cell overwrites with "\r" the last state, not each one
    executed, _ = CoalesceStreamsPreprocessor(enabled=True)(executed, {})
    _off_the_slides(executed)
    undone = next((n for n, cell in enumerate(executed.cells) if _never_ran(cell)), None)
    # papermill's own words do not tell a dead kernel or an interrupt from an end
    executed.metadata.papermill["passed"] = undone is None
    if banner:
        _put_below_the_title(executed, banner)
    disk.write_text(copy, nbformat.writes(executed) + "\n")
    return None if undone is None else f"cell {undone} never ran (see {copy})"


def _off_the_slides(notebook: nbformat.NotebookNode) -> None:
    """The cell that papermill wrote is skipped in slides, like the one with the parameters."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["slideshow"] = {"slide_type": "skip"}


def banner_of(profile: str) -> str | None:
    """What every executed copy of a profile must say first: nothing, unless its models are toys."""
    models = profiles.load_profile(profile).models.values()
    return RANDOM_MODELS if all(model.toy for model in models) else None


def _put_below_the_title(notebook: nbformat.NotebookNode, banner: str) -> None:
    first = notebook.cells[0]
    if first.cell_type == "markdown" and first.source.startswith("# "):
        title, _, rest = first.source.partition("\n")
        first.source = f"{title}\n\n{banner}\n{rest}"
    else:
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(banner))


def reproduce(
    profile: str,
    only: str | None = None,
    figures_dir: str = "figures",
    timeout: int | None = None,
    *,
    from_released: bool = False,
) -> bool:
    """Run the notebooks with `profile`; print a line for each and a summary.

    Parameters
    ----------
    profile
        A profile's name: a file in `params/`. A bad one is refused before any work starts. What
        it lacks a section for is left out, which is said before (`needs`).
    only
        The beginning of one notebook's name ("02").
    figures_dir
        Tables and figures go to `<figures_dir>/<profile>`.
    timeout
        Seconds allowed for one cell.
    from_released
        What the store lacks is read from the released answers, where these have it, and notebooks
        run side by side, a core for each; else they run one after another and make what is missing.

    Returns
    -------
    bool
        True if all passed. A notebook that failed does not keep the next from running.

    Raises
    ------
    ValueError
        An unknown profile or notebook, no released answer of this profile, or no notebook for
        which it has the sections.
    """
    settings = profiles.load_profile(profile)
    if from_released:
        check_released(settings)
    return run(notebooks(only), profile, figures_dir, timeout, from_released=from_released)


def check_released(profile: profiles.Profile) -> None:
    """Refuse a profile without released answers, be it of references in another's study.

    Raises
    ------
    ValueError
        Says where answers were looked for.
    """
    sampling = Sampling.of(profile.responses, profile.seed).for_references()
    if released.of(profile.name) is None and not any(
        responses.folders(model.model_id, model.training, sampling)[1:]
        for model in references(profile)
    ):
        released.check(profile.name)


def run(
    chosen: list[Path],
    profile: str,
    figures_dir: str = "figures",
    timeout: int | None = None,
    *,
    from_released: bool = False,
) -> bool:
    """Run these notebooks, as `reproduce` does; True if all passed."""
    left_out, chosen = _left_out(chosen, profiles.load_profile(profile))
    if not chosen:
        raise ValueError("\n".join(left_out))
    print("\n".join(left_out), end="\n" if left_out else "", flush=True)
    aside = _aside()
    figures_dir = figures_dir if aside is None else str(aside / "figures")
    values = {"profile": profile, "figures_dir": figures_dir}
    for notebook in chosen:
        check(notebook, values)
    figures, started = ROOT / figures_dir / profile, time.time()
    figures.mkdir(parents=True, exist_ok=True)  # before any work, should it be refused
    together = min(cores(), SIDE_BY_SIDE, len(chosen)) if from_released else 1
    # Kernels have no terminal of their own, and draw as notebooks do, wherever they are run
    shown = {progress.VARIABLE: str(progress.how()), "MPLBACKEND": None}
    work = partial(_run, profile=profile, values=values, timeout=timeout, listed=not from_released)
    here = {**ONE_THREAD, **MALLOC} if from_released else {released.SWITCH: released.OFF}
    before = summary.scored_here()
    with variables({**shown, **here}):
        ends = (
            _one_by_one(chosen, work, profile)
            if together == 1
            else _side_by_side(chosen, work, together)
        )
    scored = summary.scored_here() - before if from_released else 0
    print("\n".join(summary.lines(ends, left_out, figures, started, scored)))
    print(f"notebooks with their outputs: {copy_of(profile, chosen[0]).parent}", flush=True)
    return all(end.why_not is None for end in ends)


def _left_out(chosen: list[Path], profile: profiles.Profile) -> tuple[list[str], list[Path]]:
    """A line for each notebook, or part of one, that the profile leaves out; what can be run."""
    lines, whole = [], []
    for notebook in chosen:
        if lacking := needs.lacks(profile, notebook):
            lines.append(f"left out  {notebook.name}: {needs.said(profile, lacking)}")
            continue
        whole.append(notebook)
        if some := needs.skip_cells(profile, nbformat.read(notebook, as_version=4)):
            lines.append(f"in part   {notebook.name}: {needs.said(profile, some)}")
    return lines, whole


def _one_by_one(chosen: list[Path], work: Callable[[Path], End], profile: str) -> list[End]:
    ends = []
    with progress.phases({path.stem: _seconds_last_time(path, profile) for path in chosen}):
        for notebook in chosen:
            progress.begin(notebook.stem)
            ends.append(work(notebook))
    return ends


def _side_by_side(chosen: list[Path], work: Callable[[Path], End], together: int) -> list[End]:
    ends: dict[Path, End] = {}
    pool = ProcessPoolExecutor(together, get_context("spawn"))
    try:
        with progress.Progress(len(chosen), text="notebooks") as bar:
            # The last ones take longest (10: the null): begun last, one would run alone at the end
            for future in as_completed([pool.submit(work, n) for n in reversed(chosen)]):
                end = future.result()
                ends[end.notebook] = end
                bar.show(len(ends), f"{len(ends)}/{len(chosen)} notebooks, {end.notebook.stem}")
    except BrokenProcessPool:
        undone = ", ".join(path.name for path in chosen if path not in ends)
        raise jobs.WorkerDied(
            f"the process of a notebook was killed, as by a machine without memory: {undone} did "
            "not end. Run them one at a time (--only), or without --released"
        ) from None
    finally:  # at an error or an interrupt, too, where some still run
        running = active_children()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running if len(ends) == len(chosen) else []:
            process.join(END_SECONDS)
        processes.end(process.pid for process in running)
    return [ends[path] for path in chosen]


def _seconds_last_time(notebook: Path, profile: str) -> float | None:
    """How long a notebook took when it was last run on this profile."""
    copy = copy_of(profile, notebook)
    try:
        told = nbformat.read(copy, as_version=4).metadata.papermill.duration
    except (OSError, ValueError, AttributeError):  # never run, or not to its end
        return None
    return float(told) if told else None


def _run(
    notebook: Path, profile: str, values: dict[str, Any], timeout: int | None, *, listed: bool
) -> End:
    """Run one notebook. listed: whether the entries of the store that it looks at are listed."""
    progress.say(f"{provenance.now()}  {notebook.name} on {profile}")
    started = time.time()
    looked_at = _list_anew(profile, notebook) if listed else None
    with variables({store.USED: None if looked_at is None else str(looked_at)}):
        out = copy_of(profile, notebook).parent
        settings = profiles.load_profile(profile)
        why_not = execute(notebook, out, values, timeout, banner_of(profile), settings)
    if looked_at is not None and why_not is None:
        looked_at.replace(_list_of(profile, notebook))
    return End(notebook, why_not, time.time() - started)


def _list_of(profile: str, notebook: Path) -> Path:
    """Where a notebook's list lies that has run to its end."""
    listed, aside = packing.use_list(profile, notebook.stem), _aside()
    return listed if aside is None else aside / listed.name


def _list_anew(profile: str, notebook: Path) -> Path:
    """An empty list of what a notebook looks at; the one of its last run is gone."""
    listed = _list_of(profile, notebook)
    unfinished = listed.with_suffix(packing.UNFINISHED)
    store.make_root()
    listed.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text("")
    listed.unlink(missing_ok=True)
    return unfinished


def _never_ran(cell: nbformat.NotebookNode) -> bool:
    """A code cell without an end, as after `sys.exit()` in an earlier one."""
    if cell.cell_type != "code" or "skip-execution" in cell.metadata.get("tags", []):
        return False
    return cell.metadata.get("papermill", {}).get("status") != "completed"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
