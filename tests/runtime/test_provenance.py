"""Provenance: the commit that a process saw first."""

import subprocess

import pytest

from dsi_core.runtime import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """(git, root): a repository of one commit, as the place where the package lies."""
    root = tmp_path / "repository"
    (root / "dsi_core").mkdir(parents=True)
    (root / "dsi_core" / "a.py").write_text("a = 1\n")
    person = ("-c", "user.name=a", "-c", "user.email=a@example.org")

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *person, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    monkeypatch.setattr(provenance, "ROOT", root)
    provenance.commit.cache_clear()
    yield git, root
    provenance.commit.cache_clear()


def test_the_commit_once_per_process(repository):
    git, root = repository
    number = git("rev-parse", "--short", "HEAD")
    (root / "notes.txt").write_text("shapes no result")
    assert provenance.commit() == number
    (root / "dsi_core" / "a.py").write_text("a = 2\n")
    assert provenance.commit() == number  # what runs is what was read
    provenance.commit.cache_clear()
    assert provenance.commit() == number + "+"


def test_no_commit_outside_of_git_or_in_another_repository(repository, monkeypatch, tmp_path):
    _, root = repository
    monkeypatch.setattr(provenance, "ROOT", root / "dsi_core")  # as site-packages in a project
    assert provenance.commit() == "no commit"
    provenance.commit.cache_clear()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() == "no commit"
    provenance.commit.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == "no commit"
