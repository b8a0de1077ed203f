"""Where jobs run, and which part of them is this process's: `$DSI_ENGINE`, `$DSI_PART`."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum

ENGINE, PART = "DSI_ENGINE", "DSI_PART"


class Engine(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    RAY = "ray"


def engine() -> Engine:
    """Where jobs run: as `$DSI_ENGINE` says, or else on the cluster of `$RAY_ADDRESS`, or here.

    Raises
    ------
    ValueError
        `$DSI_ENGINE` is no engine; or Ray is asked for by one of several processes.
    """
    said = os.environ.get(ENGINE, "").strip()
    if said and said not in list(Engine):
        raise ValueError(f"--engine (${ENGINE}) is {said!r}; allowed: {', '.join(Engine)}")
    there = os.environ.get("RAY_ADDRESS", "").strip()
    chosen = Engine(said or (Engine.RAY if there else Engine.LOCAL))
    if chosen is Engine.RAY and part().of > 1:
        raise ValueError("--part is for processes that share a store without Ray: --engine local")
    return chosen


@dataclass(frozen=True)
class Part:
    """One of several processes over one store, as in a SLURM array: number 1 to `of`."""

    number: int = 1
    of: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one whose tables and figures are kept."""
        return self.number == 1

    def order(self, jobs: int) -> list[int]:
        """Give the indices of all jobs in its order: its own first, then each other part's."""
        turns = [(self.number - 1 + step) % self.of for step in range(self.of)]
        return [index for turn in turns for index in range(turn, jobs, self.of)]


def part() -> Part:
    """Read `$DSI_PART`: "3/16", or nothing where one process does it all.

    Raises
    ------
    ValueError
        It is no such part.
    """
    text = os.environ.get(PART, "").strip()
    if not text:
        return Part()
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(
            f"--part (${PART}) is {text!r}; it is the number of a process and how many there are, "
            'from "1/16" to "16/16"'
        )
    return Part(int(found[1]), int(found[2]))
