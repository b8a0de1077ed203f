"""How time and memory grow with the rows of a dataset: reading, near-duplicates, protecting.

Each step is a process of its own with one thread, whose peak memory is its own. The rows are made
up: words by Zipf's law, 12 in a prompt and 30 in an output, and of ten rows one that nearly
repeats another.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from dsi_core.benchmarks.alone import alone
from dsi_core.data import near_duplicates
from dsi_core.data.pairs import Dataset, load_pairs, others
from dsi_core.protect import draft, kit
from dsi_core.runtime.progress import say
from dsi_core.settings.schema import Data

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DRAWN = 500  # rows that are sampled of each size, as `--rows` does
VOCABULARY, EXPONENT = 50_000, 1.05
PROMPT, OUTPUT = 12, 30  # words
REPEATED = 10  # one row in so many nearly repeats another
BLOCK = 10_000
COLUMNS = ["step", "rows", "seconds", "memory_mb", "found"]


def write_rows(path: Path, count: int) -> None:
    """Write made-up rows as JSON Lines, columns instruction and output."""
    with open(path, "w", encoding="utf-8") as file:
        for prompt, output in _rows(count, np.random.default_rng(0)):
            file.write(json.dumps({"instruction": prompt, "output": output}) + "\n")


def _rows(count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    often = np.cumsum(np.arange(1, VOCABULARY + 1) ** -EXPONENT)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        drawn = rng.random((size, PROMPT + OUTPUT)) * often[-1]
        words = [[f"w{i}" for i in row] for row in np.searchsorted(often, drawn).tolist()]
        for i, row in enumerate(words):
            prompt, output = row[:PROMPT], row[PROMPT:]
            if i % REPEATED == REPEATED - 1:  # the row before, with a word more
                prompt, output = words[i - 1][:PROMPT], [*words[i - 1][PROMPT:], f"also{start + i}"]
            yield " ".join(prompt), " ".join(output)


def read(path: Path) -> int:
    """Read a file and draw `DRAWN` of its pairs."""
    return len(load_pairs(Dataset("made up", _source(path, rows=DRAWN), seed=0)))


def _source(path: Path, rows: int | None = None) -> Data:
    return Data(path=str(path.resolve()), prompt=["instruction"], output="output", rows=rows)


def find(path: Path) -> int:
    """Find the near-duplicates of `DRAWN` of its pairs among all of them."""
    drawn = Dataset("made up", _source(path, rows=DRAWN), seed=0)
    some = load_pairs(drawn)
    return int(near_duplicates.find(some, others(drawn, some)).sum())


def protect(path: Path) -> int:
    """Make a kit, a private twin, and check what was written: all that `dsi protect` does."""
    drafted = draft.draft(path)
    with TemporaryDirectory() as folder:
        kit.toss(drafted, Path(folder) / "kit")
    return drafted.groups


STEPS: dict[str, Callable[[Path], int]] = {
    "read and draw 500 pairs": read,
    "near-duplicates of 500 pairs": find,
    "protect: a kit of all": protect,
}


def measure(sizes: tuple[int, ...] = SIZES) -> pd.DataFrame:
    """Measure every step at every size, one after another; one line each goes to stderr.

    Returns
    -------
    pandas.DataFrame
        Columns step, rows, seconds (user and system time of its process), memory_mb (the most that
        it held), and found: pairs drawn, near-duplicates, coins.
    """
    found = []
    for size in sizes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "made_up.jsonl"
            write_rows(path, size)
            for name, step in STEPS.items():
                seconds, memory, count = alone(step, path)
                found.append((name, size, round(seconds, 2), round(memory), count))
                say(f"bench: {name}, {size:,} rows: {seconds:.1f} s, {memory:.0f} MB")
    table = pd.DataFrame(found, columns=COLUMNS)
    return table.sort_values(["step", "rows"], key=_in_order, ignore_index=True)


def _in_order(column: pd.Series) -> pd.Series:
    return column.map(list(STEPS).index) if column.name == "step" else column
