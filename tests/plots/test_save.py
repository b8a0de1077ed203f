"""Keeping a figure: three files, a manifest that fits them, and never half a file."""

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from helpers import says
from matplotlib.figure import Figure
from PIL import Image

from dsi_core.plots import alt, save, style
from dsi_core.runtime import provenance

DECISION = {"rule": "text", "delta_t": 0.3}


@dataclass(frozen=True)
class Settings:
    name: str = "tiny"
    scale: str = "one toy model on a dozen pairs"
    seed: int = 7
    path: str | None = None
    overridden: dict = field(default_factory=dict)
    decision: SimpleNamespace = field(default_factory=partial(SimpleNamespace, **DECISION))

    def model_dump(self, *, exclude_none: bool = False) -> dict:
        every = {"name": self.name, "scale": self.scale, "seed": self.seed, "path": self.path}
        return {k: v for k, v in every.items() if not (exclude_none and v is None)}


@dataclass(frozen=True)
class Run:
    profile: Settings = Settings()


TABLE = pd.DataFrame({"suspect": ["a", "b"], "share": [1 / 3, None]})


@pytest.fixture
def folder(tmp_path, empty_store):
    return tmp_path / "out"


def drawing(height=1.0):
    figure, ax = plt.subplots(figsize=(4, 2))
    ax.bar(["a"], [height])
    return figure


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_figure_is_kept_as_png_pdf_and_csv(folder):
    path = save.save(Run(), "fig", drawing(), TABLE, str(folder))
    assert path == folder / "tiny" / "fig.png"
    assert files(folder / "tiny") == ["fig.csv", "fig.pdf", "fig.png", "manifest.json"]
    assert (folder / "tiny" / "fig.pdf").read_bytes().startswith(b"%PDF")
    assert plt.imread(path).std() > 0.01
    assert (folder / "tiny" / "fig.csv").read_text() == "suspect,share\na,0.333333\nb,\n"


def test_results_of_other_settings_lie_apart_and_say_so(folder):
    """Nothing of the profile's own is replaced."""
    own = save.save(Run(), "fig", drawing(), TABLE, str(folder))
    before = own.read_bytes(), (own.parent / "manifest.json").read_bytes()
    changed = Run(Settings(overridden={"mu": (100, 5), "delta_t": (0.6, 0.3)}))
    figure = drawing(2.0)
    path = save.save(changed, "fig", figure, TABLE, str(folder))
    assert path == folder / "tiny" / "delta_t=0.6,mu=100" / "fig.png"
    said = figure._supxlabel.get_text().replace("\n", " ")
    assert said.startswith("tiny, seed 7, mu 100 instead of 5, delta_t 0.6 instead of 0.3: one toy")
    assert (own.read_bytes(), (own.parent / "manifest.json").read_bytes()) == before
    assert list(json.loads((path.parent / "manifest.json").read_text())["files"]) == [
        "fig.csv",
        "fig.pdf",
        "fig.png",
    ]


def test_a_folder_named_by_a_number(tmp_path, empty_store, monkeypatch):
    """Papermill takes `-p figures_dir 2026` for one."""
    monkeypatch.setattr(save, "ROOT", tmp_path)
    assert save.save(Run(), "t", None, TABLE, 2026) == tmp_path / "2026" / "tiny" / "t.csv"


def test_a_table_alone_is_a_csv(folder):
    path = save.save(Run(), "table", None, TABLE, str(folder))
    assert path == folder / "tiny" / "table.csv"
    assert files(folder / "tiny") == ["manifest.json", "table.csv"]


def test_axes_keep_the_figure_that_they_are_on(folder):
    whole = drawing()
    path = save.save(Run(), "axes", whole.axes[0], TABLE, str(folder))
    same = save.save(Run(), "whole", whole, TABLE, str(folder))
    assert path.read_bytes() == same.read_bytes()


def test_a_notebook_shows_what_was_saved_until_it_changes(folder):
    whole = drawing()
    saved = b64encode(save.save(Run(), "fig", whole, TABLE, str(folder)).read_bytes()).decode()
    assert saved in alt.as_html(whole)
    whole.axes[0].patches[0].set_height(0.5)
    assert saved not in alt.as_html(whole)


def test_the_caption_says_profile_seed_and_scale(folder):
    figure = drawing()
    save.save(Run(), "fig", figure, TABLE, str(folder))
    said = figure.get_supxlabel().replace("\n", " ")
    assert said == "tiny, seed 7: one toy model on a dozen pairs"
    save.save(Run(), "fig", figure, TABLE, str(folder), scale="other models")
    assert figure.get_supxlabel().endswith(": other models")


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"overridden": {"delta_s": (0.15, None)}}, "delta_s 0.15 instead of 0.3"),
        (
            {"overridden": {"delta_t": (0.3, 0.6), "delta_s": (0.15, None)}},
            "delta_t 0.3 instead of 0.6, delta_s 0.15 instead of 0.6",
        ),
        ({"decision": SimpleNamespace(rule="released")}, "rule: released"),
    ],
)
def test_the_caption_says_the_rule_and_what_delta_s_was(folder, settings, said):
    figure = drawing()
    save.save(Run(Settings(**settings)), "fig", figure, TABLE, str(folder))
    assert figure.get_supxlabel().replace("\n", " ").startswith(f"tiny, seed 7, {said}: one")


@pytest.mark.parametrize("names, end", [(["faq", "faq"], "; shown: faq"), (["faq", "chat"], "")])
def test_the_caption_names_the_dataset_of_a_table_of_one(folder, names, end):
    figure = drawing()
    save.save(Run(), "fig", figure, TABLE.assign(dataset=names), str(folder))
    assert figure.get_supxlabel().replace("\n", " ").endswith(f"a dozen pairs{end}")


def test_the_manifest_says_what_was_made_by_what(folder):
    save.save(Run(), "fig", drawing(), TABLE, str(folder))
    save.save(Run(), "table", None, TABLE, str(folder))
    facts = json.loads((folder / "tiny" / "manifest.json").read_text())
    assert list(facts["files"]) == ["fig.csv", "fig.pdf", "fig.png", "table.csv"]
    for name, file in facts["files"].items():
        content = (folder / "tiny" / name).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["commit"] == provenance.commit()
        assert file["parameters"] == facts["parameters_key"]
    assert facts["parameters"] == {"name": "tiny", "scale": Settings.scale, "seed": 7}
    assert facts["versions"]["numpy"]


def test_pictures_keep_their_alt_text_in_themselves_and_in_the_manifest(folder):
    figure = drawing()
    style.says(figure, "One bar is all there is", "A bar")
    path = save.save(Run(), "fig", figure, TABLE, str(folder))
    facts = json.loads((folder / "tiny" / "manifest.json").read_text())["files"]
    assert facts["fig.png"]["alt"] == facts["fig.pdf"]["alt"] == "One bar is all there is. A bar."
    assert "alt" not in facts["fig.csv"]
    with Image.open(path) as picture:
        assert picture.text["Description"] == facts["fig.png"]["alt"]
    assert b"One bar is all there is. A bar." in path.with_suffix(".pdf").read_bytes()


def test_what_is_saved_again_the_same_leaves_the_manifest_as_it_was(folder, monkeypatch):
    save.save(Run(), "fig", drawing(), TABLE, str(folder))
    save.save(Run(), "table", None, TABLE, str(folder))
    manifest = folder / "tiny" / "manifest.json"
    before = manifest.read_bytes()
    monkeypatch.setattr(provenance, "now", lambda: "another day")
    monkeypatch.setattr(provenance, "versions", lambda: {"numpy": "another"})
    save.save(Run(), "fig", drawing(), TABLE, str(folder))
    assert manifest.read_bytes() == before
    save.save(Run(), "fig", drawing(2.0), TABLE, str(folder))
    made = {
        n: f["made"] == "another day" for n, f in json.loads(manifest.read_text())["files"].items()
    }
    assert made == {"fig.csv": False, "fig.pdf": True, "fig.png": True, "table.csv": False}
    save.save(Run(Settings(seed=8)), "table", None, TABLE, str(folder))  # other settings
    assert json.loads(manifest.read_text())["files"]["table.csv"]["made"] == "another day"


def test_the_same_drawing_gives_the_same_files(folder):
    for name in ("one", "two"):
        save.save(Run(), name, drawing(), TABLE, str(folder))
    for suffix in (".png", ".pdf"):
        one, two = (folder / "tiny" / f"{name}{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_damaged_manifest_is_named(folder):
    save.save(Run(), "table", None, TABLE, str(folder))
    manifest = folder / "tiny" / "manifest.json"
    manifest.write_text(manifest.read_text()[:40])
    with pytest.raises(ValueError) as error:
        save.save(Run(), "table", None, TABLE, str(folder))
    says(error, f"{manifest} is damaged", "remove it")
    manifest.unlink()
    save.save(Run(), "table", None, TABLE, str(folder))
    assert list(json.loads(manifest.read_text())["files"]) == ["table.csv"]


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_what_breaks_off_while_drawing_leaves_the_old_file_whole(folder, monkeypatch, suffix):
    path = save.save(Run(), "fig", drawing(1.0), TABLE, str(folder)).with_suffix(f".{suffix}")
    before, listed = path.read_bytes(), files(folder / "tiny")
    whole = Figure.savefig

    def breaks_off(figure, place, *, format, **options):
        if format != suffix:
            return whole(figure, place, format=format, **options)
        place.write(b"half a")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        save.save(Run(), "fig", drawing(2.0), TABLE, str(folder))
    assert path.read_bytes() == before
    assert files(folder / "tiny") == listed
