"""Examples in words: prompt, oracle and responses side by side, the longest common subsequence highlighted (Fig. 2 and 3)."""

import html
import re

import matplotlib.pyplot as plt
import pandas as pd

SHADE = "#B7E4C7"
CHARACTER = 0.0753  # inches: the advance of matplotlib's monospace font at 9 points


def words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def common(oracle: str, response: str) -> list[tuple[str, bool]]:
    """The response as (piece, shared): pieces on the longest common subsequence of words with the oracle, case ignored.

    The classic dynamic programme; blanks between two shared words are shared too.
    """
    left = [w.lower() for w in words(oracle) if not w.isspace()]
    right = [w for w in words(response) if not w.isspace()]
    best = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            same = left[i] == right[j].lower()
            best[i][j] = best[i + 1][j + 1] + 1 if same else max(best[i + 1][j], best[i][j + 1])
    shared, i, j = set(), 0, 0
    while i < len(left) and j < len(right):
        if left[i] == right[j].lower():
            shared.add(j)
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    pieces, j = [], 0
    for piece in words(response):
        if piece.isspace():
            pieces.append((piece, j - 1 in shared and j in shared))
        else:
            pieces.append((piece, j in shared))
            j += 1
    return pieces


def most_changed(scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 2's sample: the row of `study.reference_scores` with the largest gap (the first in a tie)."""
    return scores.sort_values(["gap", "sample_id"], ascending=[False, True]).head(1)


def already_close(scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 3's sample: the row whose response before tuning is closest to the oracle, a "fake" tainted sample."""
    return scores.sort_values(["raw_before", "sample_id"], ascending=[False, True]).head(1)


def plot_example(row: pd.DataFrame, *, with_after: bool = True, ax=None, width: int = 100):
    """One sample as text boxes: prompt, oracle, response before (and after) tuning; shared words shaded.

    row: one row of `study.reference_scores`. Text is drawn literally (no markup, no maths).
    """
    sample = row.iloc[0]
    parts = [
        ("Prompt", [(sample["prompt"], False)]),
        ("Oracle output", [(sample["output"], False)]),
        (
            f"{sample['reference']} before tuning on D (raw similarity {sample['raw_before']:.2f})",
            common(sample["output"], sample["response_before"]),
        ),
    ]
    if with_after:
        parts.append(
            (
                f"{sample['reference']} after tuning on D (raw similarity {sample['raw_after']:.2f})",
                common(sample["output"], sample["response_after"]),
            )
        )
    lines = [(title, line) for title, pieces in parts for line in [None, *_wrap(pieces, width)]]
    height = len(lines) + 0.5 * len(parts)
    ax = (
        ax
        or plt.subplots(
            figsize=(width * CHARACTER + 0.083, 0.24 * height + 0.4), layout="constrained"
        )[1]
    )
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, -0.3))
    y = 0.0
    for title, line in lines:
        if line is None:
            y += 0.5
            ax.text(0, y, title, weight="bold", fontsize=9, va="center", parse_math=False)
        for x, piece, shared in line or []:
            box = (
                {"facecolor": SHADE, "edgecolor": "none", "pad": 0.8}
                if shared and not piece.isspace()
                else None
            )
            ax.text(
                x, y, piece, fontsize=9, family="monospace", va="center", bbox=box, parse_math=False
            )
        y += 1
    return ax


def _wrap(pieces: list[tuple[str, bool]], width: int) -> list[list[tuple[int, str, bool]]]:
    """Lines of (column, piece, shared) at most `width` wide; a longer piece is cut."""
    lines, x = [[]], 0
    for word, shared in ((w, shared) for piece, shared in pieces for w in words(piece)):
        word = " " if word.isspace() else word
        for part in (word[i : i + width] for i in range(0, len(word), width)):
            if x + len(part) > width:
                lines, x = [*lines, []], 0
            if part != " " or x:
                lines[-1].append((x, part, shared))
                x += len(part)
    return lines if any(lines) else [[(0, "(empty)", False)]]


def as_html(row: pd.DataFrame) -> str:
    """The same as safe HTML for notebooks: every text is escaped, shared words are marked."""
    sample = row.iloc[0]

    def block(title, pieces):
        body = "".join(
            f"<mark style='background:{SHADE}'>{html.escape(p)}</mark>" if s else html.escape(p)
            for p, s in pieces
        )
        return f"<p><b>{html.escape(title)}</b><br>{body or '<i>(empty)</i>'}</p>"

    return "".join(
        [
            block("Prompt", [(sample["prompt"], False)]),
            block("Oracle output", [(sample["output"], False)]),
            block(
                f"{sample['reference']} before tuning on D ({sample['raw_before']:.2f})",
                common(sample["output"], sample["response_before"]),
            ),
            block(
                f"{sample['reference']} after tuning on D ({sample['raw_after']:.2f})",
                common(sample["output"], sample["response_after"]),
            ),
        ]
    )
