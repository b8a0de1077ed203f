"""An installation without the repository: what it brings along suffices to protect and to audit."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from helpers import table

from dsi_core.runtime import paths
from dsi_core.runtime.paths import ROOT, SHARED

WORDINGS = ("It is kept on shelf {n}, beside the door.", "Look beside the door: shelf {n} has it.")


def test_the_repository_comes_first_and_a_prefix_that_has_what_is_needed_next(tmp_path):
    checkout, empty, full = (tmp_path / name for name in ("checkout", "empty", "full"))
    (full / SHARED / "params").mkdir(parents=True)
    assert paths.root(checkout, (str(empty), str(full))) == full / SHARED
    assert paths.root(checkout, (str(empty),)) == checkout  # where errors say what lacks
    (checkout / "params").mkdir(parents=True)
    assert paths.root(checkout, (str(full),)) == checkout


@pytest.fixture(scope="module")
def dsi(tmp_path_factory):
    """dsi(*arguments) = the finished command, installed by pyproject.toml's lists, elsewhere."""
    place = tmp_path_factory.mktemp("installed")
    shutil.copytree(
        ROOT / "dsi_core", place / "site" / "dsi_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for folder, patterns in project["tool"]["setuptools"]["data-files"].items():
        (place / "user" / folder).mkdir(parents=True, exist_ok=True)
        for pattern in patterns:
            for file in ROOT.glob(pattern):
                shutil.copy(file, place / "user" / folder)
    work = place / "work"
    work.mkdir()
    kept = {key: value for key, value in os.environ.items() if key != "DSI_STORE"}
    own = {"PYTHONUSERBASE": str(place / "user"), "PYTHONPATH": str(place / "site")}

    def run(*arguments):
        command = [sys.executable, "-m", "dsi_core", *arguments]
        return subprocess.run(command, cwd=work, env=kept | own, capture_output=True, text=True)

    rows = [(f"Where is tool {n}?", *(one.format(n=n) for one in WORDINGS)) for n in range(12)]
    table("prompt output other", *rows).to_json(work / "my.jsonl", orient="records", lines=True)
    return run


def test_a_dataset_is_protected_and_its_audit_planned(dsi):
    made = dsi("protect", "--data", "my.jsonl", "--wordings", "output,other")
    assert made.returncode == 0, made.stderr
    asked = ["--kit", "kits/my", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"]
    planned = dsi("audit", *asked, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "nothing was asked" in planned.stdout


def test_a_preparation_is_planned_by_the_profiles_that_came_along(dsi):
    planned = dsi("prepare", "--data", "my.jsonl", "--profile", "small", "--dry-run")
    assert planned.returncode == 0, planned.stderr


def test_results_are_kept_here_and_not_among_packages(dsi):
    assert "/work/store" in dsi("status").stdout


def test_what_needs_the_repository_says_so(dsi):
    said = dsi("reproduce", "--profile", "smoke").stderr
    assert said.startswith("error: dsi_core was installed without its notebooks: in a clone")
