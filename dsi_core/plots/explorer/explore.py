"""The explorer: samples, votes and texts, linked, in a notebook or as one page without a kernel."""

import base64
import gzip
import hashlib
import json
import re
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anywidget
import numpy as np
import pandas as pd
import traitlets
from jinja2 import Environment, PackageLoader, StrictUndefined

from dsi_core.method.study import Study
from dsi_core.plots.explorer.explored import Explored, Points, of_study

HERE = Path(__file__).parent
PARTS = ("method", "elements", "state", "views", "draw", "texts", "explorer", "hosts")
SCRIPT = "\n".join((HERE / "script" / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
STYLE = (HERE / "style.css").read_text(encoding="utf-8")
TITLE = "Explore tainted samples"
CHUNK = 32  # samples whose texts a page unpacks together
PAGE_STYLE = """
html, body { height: 100%; margin: 0; background: #fff; }
body { display: flex; flex-direction: column; min-height: 620px; }
header { display: flex; gap: 10px; align-items: baseline; padding: 5px 8px 0;
  font: 12px/1.35 system-ui, sans-serif; color: #222; }
header h1 { margin: 0; font-size: 14px; white-space: nowrap; }
header p { margin: 0; overflow: hidden; color: #555; text-overflow: ellipsis; white-space: nowrap; }
#explorer { flex: 1; min-height: 0; }
.dsi-explore { --dsi-height: auto; }
@media (max-width: 700px) {
  html, body { height: auto; }
  header { display: block; }
  header p { white-space: normal; }
}
"""
NUMBERS = {"delta_t": float, "delta_s": float, "mu": int}
STATE = (
    "dataset", "suspect", "sample", *NUMBERS, "reference", "category", "kind", "status", "region",
)  # fmt: skip
STATUSES = ["not tainted", "positive", "negative", "filtered", "tainted"]  # as in method.js
REGION = re.compile(r"(similarity|gap|evidence):-?[\d.]+(,-?[\d.]+){3}")
REGIONS = "similarity, gap or evidence, and its ends, such as gap:0,20,0.3,1"
SHOWN = 8  # names that an error lists


def read_state(text: str) -> dict[str, Any]:
    """Read a state as the explorer copies it, or the part of a page's link behind its `#`.

    Raises
    ------
    ValueError
        For a key that no explorer has, a threshold that is no number, or other text.
    """
    state: dict[str, Any] = {}
    pairs = text.rpartition("#")[2]
    try:
        found = parse_qsl(pairs, strict_parsing=bool(pairs))
    except ValueError:
        raise ValueError(
            f"state: {pairs!r}; one that an explorer copies reads like sample=s1&delta_t=0.3"
        ) from None
    for key, value in found:
        if key not in STATE:
            raise ValueError(f"state: unknown {key!r}; known: {', '.join(STATE)}")
        try:
            state[key] = NUMBERS.get(key, str)(value)
        except ValueError:
            raise ValueError(f"state: {key} {value!r} is no number") from None
    return state


def write_state(state: dict[str, Any]) -> str:
    """Write a state as `read_state` reads it."""
    return urlencode({key: state[key] for key in STATE if state.get(key, "") != ""})


def check_state(state: dict[str, Any], header: dict[str, Any], samples: list[str]) -> None:
    """Refuse a state that an explorer cannot show; "" always stands for the study's own value.

    Parameters
    ----------
    state
        As `Explorer.state`.
    header
        As `Explored.header`.
    samples
        The ids of the state's dataset.

    Raises
    ------
    ValueError
        Names the field, its value and what is allowed.
    """
    datasets = {facts["name"]: facts for facts in header["datasets"]}
    facts = datasets.get(state.get("dataset"), header["datasets"][0])
    options = {
        "dataset": list(datasets),
        "suspect": [row["suspect"] for row in facts["suspects"]],
        "reference": facts["references"],
        "category": facts["categories"],
        "kind": list(dict.fromkeys(row["kind"] for row in facts["suspects"])),
        "status": STATUSES,
        "sample": samples,
    }
    start, limits = header["start"], header["limits"]
    ends = {
        "delta_t": (
            min(start["delta_t"], max(limits["lowest"], facts["lowest"])),
            limits["highest"],
        ),
        "delta_s": (limits["lowest"], limits["highest"]),
        "mu": (0, limits["longest"]),
    }
    for key, value in state.items():
        if key not in STATE:
            raise ValueError(f"state: unknown {key!r}; known: {', '.join(STATE)}")
        if key in ends:
            low, high = ends[key]
            if not isinstance(value, Real) or not low <= value <= high:
                raise ValueError(f"state: {key} {value!r}; allowed: {low:g} to {high:g}")
        elif key == "region":
            if value != "" and not (isinstance(value, str) and REGION.fullmatch(value)):
                raise ValueError(f"state: region {value!r}; allowed: {REGIONS}")
        elif value != "" and value not in options[key]:
            known = ", ".join(options[key][:SHOWN]) or "none"
            more = len(options[key]) - SHOWN
            raise ValueError(
                f"state: {key} {value!r}; known: {known}"
                + (f" and {more} more" if more > 0 else "")
            )


def explorer(
    run: Study,
    scores: pd.DataFrame,
    answers: pd.DataFrame | None = None,
    *,
    suspects: pd.DataFrame | None = None,
    state: str | dict[str, Any] = "",
) -> "Explorer":
    """Explore a study in a notebook; the parameters are those of `of_study` and `Explorer`."""
    return Explorer(of_study(run, scores, answers, suspects), state)


class Explorer(anywidget.AnyWidget):
    """The explorer in a notebook; numbers and texts are sent when it asks for them.

    Parameters
    ----------
    explored
        What it shows.
    state
        Where it begins: as copied from an explorer or a page's link, or a dict; keys left out have
        the study's values.

    Attributes
    ----------
    state
        Trait: dataset, suspect, sample, delta_t, delta_s, mu, reference, category, kind, status,
        region. It follows what is done in the explorer; set it, and the explorer follows.

    Raises
    ------
    ValueError
        As `read_state` and `check_state`, also where `state` is set; it then stays as it was.
    """

    _esm = SCRIPT
    _css = STYLE
    header = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    brushed = traitlets.Bytes(b"").tag(sync=True, from_json=lambda value, _: bytes(value))

    def __init__(self, explored: Explored, state: str | dict[str, Any] = "") -> None:
        begin = read_state(state) if isinstance(state, str) else dict(state)
        self._datasets = {points.name: points for points in explored.datasets}
        super().__init__(header=explored.header())
        self.state = begin
        self.on_msg(self._answer)

    @traitlets.validate("state")
    def _check(self, proposal: Any) -> dict[str, Any]:
        state = proposal["value"]
        check_state(state, self.header, self._points(state).sample_ids)
        return state

    @property
    def link(self) -> str:
        """The state as text, for another explorer or behind the `#` of a page."""
        return write_state(self.state)

    @property
    def points(self) -> Points:
        """The dataset that is shown."""
        return self._points(self.state)

    def _points(self, state: dict[str, Any]) -> Points:
        return self._datasets.get(state.get("dataset", ""), next(iter(self._datasets.values())))

    @property
    def texts(self) -> dict[str, Any] | None:
        """The texts of the selected sample; None where none is selected."""
        points, sample = self.points, self.state.get("sample", "")
        return (
            points.texts(points.sample_ids.index(sample)) if sample in points.sample_ids else None
        )

    @property
    def region(self) -> list[str]:
        """The ids of the samples in the marked region; of one category, where one is chosen."""
        places = np.frombuffer(self.brushed, "<u4")
        return [self.points.sample_ids[place] for place in places]

    def _answer(self, _: Any, message: dict[str, Any], buffers: list[bytes]) -> None:
        points, key = self._datasets[message["dataset"]], message["key"]
        if "sample" in message:
            self.send({"key": key, "texts": points.texts(message["sample"])})
            return
        suspect = message["suspect"]
        self.send({"key": key}, [points.samples() if suspect < 0 else points.answers(suspect)])


def page(explored: Explored, limit_mb: float = 30.0) -> tuple[str, str]:
    """Give the explorer as one page that needs no kernel and no network.

    Parameters
    ----------
    explored
        What it shows.
    limit_mb
        Largest size: it holds as many texts as fit, those of the samples that training changed most
        first.

    Returns
    -------
    page, told
        HTML, and a sentence that says of how many samples the texts are in it.

    Raises
    ------
    ValueError
        If the numbers alone are larger.
    """
    header, limit = explored.header(), limit_mb * 1e6
    blocks = {
        f"numbers-{d}-{s}": _packed(points.samples() if s < 0 else points.answers(s))
        for d, points in enumerate(explored.datasets)
        for s in range(-1, len(points.suspects))
    }
    needed = sum(map(len, (SCRIPT, STYLE, _as_json(header), *blocks.values())))
    if needed > limit:
        raise ValueError(
            f"the numbers alone make a page of {needed / 1e6:.1f} MB, more than {limit_mb:g}: "
            "--limit-mb allows more, notebook 00_explore shows any size"
        )
    listed, texts = _texts(explored.datasets, limit - needed)
    count, of = sum(map(len, listed)), sum(len(points.sample_ids) for points in explored.datasets)
    told = f"Texts of all {of:,} samples are in this page."
    if count < of:
        told = (
            f"Texts of {count:,} of {of:,} samples are in this page, of those that training "
            f"changed most: as many as {limit_mb:g} MB hold."
        )
    within = {"samples": listed, "chunk": CHUNK, "none": f"No texts of this sample. {told}"}
    templates = Environment(
        loader=PackageLoader("dsi_core.plots", "explorer"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    script, style = f"\n{SCRIPT}\npage();\n", f"\n{STYLE}{PAGE_STYLE}"
    text = templates.get_template("page.html.j2").render(
        title=TITLE,
        scale=explored.title,
        told=told,
        header=_as_json({**header, "within": within}),
        blocks={**blocks, **texts},
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )
    return text, told


def _texts(datasets: list[Points], room: float) -> tuple[list[list[int]], dict[str, str]]:
    """Of each dataset the samples whose texts find room, in order, and their packed chunks."""
    listed: list[list[int]] = [[] for _ in datasets]
    blocks: dict[str, str] = {}
    for d, points in enumerate(datasets):
        order = np.argsort(-points.min_gaps.astype(int), kind="stable").tolist()
        for begin in range(0, len(order), CHUNK):
            samples = order[begin : begin + CHUNK]
            block = _packed(_as_json([points.texts(sample) for sample in samples]).encode())
            room -= len(block)
            if room < 0:
                return listed, blocks
            blocks[f"texts-{d}-{begin // CHUNK}"] = block
            listed[d] += samples
    return listed, blocks


def _packed(content: bytes) -> str:
    """The same bytes always give the same text."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


def _as_json(value: Any) -> str:
    """JSON that may stand in a page: no text in it can end the element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    """What the page's policy names a script by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
