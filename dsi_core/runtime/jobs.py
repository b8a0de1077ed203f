"""Independent jobs, done by an engine: this machine's own workers, or Ray's on any number of them.

`$DSI_ENGINE` (`--engine`) says which; without it a Ray cluster that `$RAY_ADDRESS` names, or else
this machine. Results, errors and the bar are the same with each.
"""

from dsi_core.runtime.devices import devices, start_method
from dsi_core.runtime.engines import local
from dsi_core.runtime.engines.choice import Engine, engine, part
from dsi_core.runtime.engines.work import Bar, Job, WorkerDied, report
from dsi_core.runtime.environment import HEAP, variables

__all__ = ["Job", "WorkerDied", "report", "run"]


def run(
    jobs: list[Job],
    *,
    environment: dict[str, str | None] | None = None,
    on_this_machine: bool = False,
) -> list:
    """Run jobs and return their results, in the order of the jobs.

    The first error ends the workers and is raised as it is, with the worker's traceback as a note.
    An interrupt ends them, too. What finished is in the store by then, so a rerun continues.
    Workers end as well when their parent is killed.

    With `DSI_WORKERS=0` the jobs run one after another in this process, for debuggers and tests.

    Parameters
    ----------
    jobs
        Begun in this order; where several processes share them (`$DSI_PART`), each begins with
        its own part and leaves to the others what they are at.
    environment
        Variables of this run alone (None = removed); with them workers start from nothing, on this
        machine. Without, they have `HEAP`.
    on_this_machine
        Whatever the engine: these jobs measure this machine, or write files beside the store.

    Raises
    ------
    ValueError
        `$DSI_WORKERS` is no whole number of 0 or more, `$DSI_ENGINE` no engine, or `$DSI_PART`
        no part; or a cluster has nothing that a job needs.
    WorkerDied
        A worker was killed, for example for want of memory; names its job and what to set.
    """
    if not jobs:
        return []
    if not (on_this_machine or environment is not None) and engine() is Engine.RAY:
        from dsi_core.runtime.engines import on_ray

        with Bar(jobs) as bar:
            return on_ray.run(jobs, bar)
    together = max(job.gpus for job in jobs)
    with variables(HEAP if environment is None else environment):
        places = devices(together)[: len(jobs)]
        method = start_method(places, own_environment=environment is not None)
        with Bar(jobs) as bar:
            order = part().order(len(jobs))
            if not places:
                return local.run_here(jobs, order, bar)
            return local.run(jobs, order, places, method, bar)
