"""What README, pages, pyproject, constraints and notebooks say about each other is true."""

import hashlib
import json
import re
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, version
from pathlib import Path

import grimp
import nbformat
import pytest
import yaml

import dsi_core

ROOT = Path(__file__).parent.parent
INDEX = ROOT / "notebooks" / "index.ipynb"  # no code, links alone
NOTEBOOKS = sorted(set((ROOT / "notebooks").glob("*.ipynb")) - {INDEX})
PAGES = sorted((ROOT / "notebooks" / "pages").glob("*.md"))
TEXTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + PAGES
HEAVY = {"ray"}  # installed by who needs it
ROOMS = sorted(path.parent.name for path in (ROOT / "dsi_core").glob("*/__init__.py"))
# what the study was asked to be made with
ASKED_FOR = {
    "jupyterlab", "papermill", "transformers", "peft", "bitsandbytes", "bert-score", "matplotlib",
    "seaborn", "pandas", "ipywidgets",
}  # fmt: skip


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line.split("#")[0].strip().split("==") for line in lines]
    return {plain(pin[0]): pin[1] for pin in pinned if len(pin) == 2}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def wanted():
    """The core's dependencies and each group's."""
    groups = dict(project()["optional-dependencies"])
    everything = groups.pop("all")
    assert everything == [f"dsi_core[{','.join(name for name in groups if name not in HEAVY)}]"]
    return {"core": project()["dependencies"], **groups}


def test_every_dependency_is_pinned_once_in_constraints():
    names = [name for group in wanted().values() for name in group]
    assert all(re.fullmatch(r"[\w-]+", name) for name in names), "versions are in constraints.txt"
    assert len(names) == len(set(names))
    assert {plain(name) for name in names} <= set(pins())
    assert set(names) >= ASKED_FOR
    assert pins()["torch"] == "2.13.0"


def test_what_the_package_imports_is_declared():
    graph = grimp.build_graph("dsi_core", include_external_packages=True, cache_dir=None)
    declared = {plain(name) for group in wanted().values() for name in group}
    assert "\nvllm-cpu==" in (ROOT / "constraints-vllm.txt").read_text()
    declared.add("vllm")  # of that environment, which is another
    packages = packages_distributions()
    for module in graph.modules:
        top = module.partition(".")[0]
        if top != "dsi_core" and top not in sys.stdlib_module_names:
            names = packages.get(top, [top])  # what is not installed has its module's name
            assert {plain(name) for name in names} & declared, module


def test_environment_yml_takes_the_same_versions():
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert pip == ["-c constraints.txt", "-e .[all]"]


@pytest.mark.parametrize("group", wanted())
def test_installed_versions_are_the_pinned_ones(group):
    if group in HEAVY and not set(wanted()[group]) <= {plain(d.name) for d in distributions()}:
        pytest.skip(f"the group {group} is not installed")
    for name in wanted()[group]:
        assert version(name).split("+")[0] == pins()[plain(name)], name


def test_one_version():
    assert version("dsi_core") == dsi_core.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == dsi_core.__version__
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first[1] == dsi_core.__version__


def test_readme_is_a_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_changelog_has_five_lines_a_release():
    for release in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        assert 0 < len(re.findall(r"^- ", release, re.M)) <= 5, release.splitlines()[0]


def text_of(path):
    """A page's text, of a notebook that of its markdown cells."""
    if path.suffix != ".ipynb":
        return path.read_text()
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("path", [*TEXTS, INDEX, *NOTEBOOKS], ids=lambda p: p.name)
def test_links_exist(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if target.startswith("http"):
            continue
        name, _, section = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if section:
            headings = re.findall(r"^#+ (.+)$", text_of(file), re.M)
            anchors = {
                re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings
            }
            assert section in anchors, target


def test_jupyterlab_is_shown_what_pages_link_to():
    """It shows no picture, and opens no link, of a file above the folder where it begins."""
    (begin,) = re.findall(r"jupyter lab (?:(\S+) )?--LabApp", (ROOT / "Makefile").read_text())
    for path in [*TEXTS, INDEX, *NOTEBOOKS]:
        for target in re.findall(r"\]\(([^)\s#]+)", text_of(path)):
            if not target.startswith("http") and path.is_relative_to(ROOT / begin):
                assert ROOT / begin in (path.parent / target).resolve().parents, (path.name, target)


@pytest.mark.parametrize("path", ["README.md", "notebooks/pages/architecture.md"])
def test_every_room_is_named(path):
    text = (ROOT / path).read_text()
    assert [room for room in ROOMS if not re.search(rf"\b{room}\b", text)] == []
    assert set(ROOMS) == set(dsi_core.__all__) - {"__version__"}


def test_every_table_and_figure_of_the_paper_has_its_row():
    text = (ROOT / "notebooks" / "pages" / "results.md").read_text()
    rows = "\n".join(re.findall(r"^\| (?:Table|Fig\.).*$", text, re.M))
    named = {(kind, int(number)) for kind, number in re.findall(r"(Table|Fig\.) (\d+)", rows)}
    assert {("Table", n) for n in range(1, 11)} <= named
    assert {("Fig.", n) for n in range(2, 13)} <= named


def test_every_numbered_notebook_has_its_row():
    text = (ROOT / "notebooks" / "pages" / "results.md").read_text()
    for path in NOTEBOOKS:
        assert path.name == "audit.ipynb" or f"](../{path.name})" in text, path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_are_pages(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert len(code) <= 15 and all(len(cell.source.splitlines()) <= 15 for cell in code)
    assert not any(re.search(r"^\s*(def|class|for|while)\s", cell.source, re.M) for cell in code)
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_teach(path):
    """Goals first, what to see, exercises last; each with a hidden answer that is markdown."""
    text = text_of(path)
    three = r"\*\*Goals\.\*\* After this page you can\n\n1\. .+;\n2\. .+;\n3\. .+\."
    goals = re.search(three, text)
    assert goals and text.index("## Exercises") > goals.end()
    exercises = text.partition("## Exercises")[2]
    assert 2 <= len(re.findall(r"^\*\*\d\.\*\* ", exercises, re.M)) <= 3
    asked = len(re.findall(r"^\*\*\d\.\*\* ", exercises, re.M))
    hidden = r"^<details>\n<summary>Answer</summary>\n\n.+?\n\n</details>$"
    assert len(re.findall(hidden, exercises, re.M | re.S)) == asked
    assert path.stem == "audit" or "**What you should see.**" in text


def test_terms_of_the_glossary_are_found_everywhere():
    """An anchor is a heading as it stands in JupyterLab; GitHub and the book lower its case."""
    headings = re.findall(r"^### (.+)$", text_of(ROOT / "notebooks/pages/glossary.md"), re.M)
    assert len(headings) == len(set(headings)) > 50
    assert all(re.fullmatch(r"[a-z0-9_ -]+", heading) for heading in headings)


def test_the_index_leads_to_every_notebook_and_page():
    text = text_of(INDEX)
    missing = [p.name for p in [*NOTEBOOKS, *PAGES] if f"{p.name})" not in text]
    assert missing == []


def test_committed_figures_match_their_manifest():
    for path in (ROOT / "figures").glob("*/manifest.json"):
        files = json.loads(path.read_text())["files"]
        on_disk = {f.name for f in path.parent.iterdir() if f.suffix in (".png", ".pdf", ".csv")}
        assert on_disk == set(files), path
        for name, facts in files.items():
            content = (path.parent / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == facts["sha256"], name
