"""Building the book: which notebooks run first, and what stops it."""

import pytest

from dsi_core.reproduce import book, run, sources
from dsi_core.runtime import released


@pytest.fixture
def asked(repository, monkeypatch):
    """What was asked of the runner, which says no."""
    for module in (book, run, sources):
        monkeypatch.setattr(module, "ROOT", repository)
    monkeypatch.setattr(released, "check", lambda profile: None)
    seen: list[tuple] = []

    def refuse(chosen, profile, *, from_released):
        seen.append(([path.stem for path in chosen], profile, from_released))
        return False

    monkeypatch.setattr(run, "run", refuse)
    return seen


def test_what_is_stale_runs_first_from_the_released_answers(asked, tmp_path):
    with pytest.raises(ValueError, match="no book of notebooks that failed"):
        book.build("small", tmp_path / "site")
    assert asked == [(["02_not_run"], "small", True)]
    assert not (tmp_path / "site").exists()


def test_a_link_to_nothing_stops_the_book(asked, repository, tmp_path, capfd):
    words = repository / "notebooks" / "pages" / "words.md"
    as_it_was = words.read_text()
    words.write_text(as_it_was + "\n[nothing](none.md)\n")
    try:
        with pytest.raises(ValueError, match="Sphinx has complaints"):
            book.build("small", tmp_path / "site", as_is=True)
    finally:
        words.write_text(as_it_was)
    assert "none.md" in capfd.readouterr().err and asked == []
