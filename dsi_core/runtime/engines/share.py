"""Several independent processes over one store, as of an array of SLURM: who begins with what."""

import os
import re
from dataclasses import dataclass

SHARE = "DSI_SHARE"


@dataclass(frozen=True)
class Share:
    """One of so many processes that do the same work: number 1 to `of`."""

    number: int = 1
    of: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one whose tables and figures are kept."""
        return self.number == 1

    def order(self, jobs: int) -> list[int]:
        """Give the indices of so many jobs: its own part first, then each other's."""
        parts = [(self.number - 1 + step) % self.of for step in range(self.of)]
        return [index for part in parts for index in range(part, jobs, self.of)]


def share() -> Share:
    """Read `$DSI_SHARE`: "3/16", or nothing where one process does it all.

    Raises
    ------
    ValueError
        It is no such share.
    """
    text = os.environ.get(SHARE, "").strip()
    if not text:
        return Share()
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(
            f"--share (${SHARE}) is {text!r}; it is a number of a process and how many there are, "
            'from "1/16" to "16/16"'
        )
    return Share(int(found[1]), int(found[2]))
