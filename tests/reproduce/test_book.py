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


def test_of_a_folder_only_what_an_earlier_build_wrote_goes(tmp_path):
    out, beside, elsewhere = tmp_path / "out", tmp_path / "beside.html", tmp_path / "else.html"
    for path in (out / ".git" / "HEAD", out / "CNAME", out / "old" / "x.html", beside, elsewhere):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for name, pages in (("first", ("a.html", "b/c.html", ".buildinfo")), ("second", ("a.html",))):
        for page in pages:
            (tmp_path / name / page).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / page).write_text(name)
    book._publish(tmp_path / "first", out)
    assert (out / "b" / "c.html").read_text() == "first"
    listed = out / book.WRITTEN
    listed.write_text(listed.read_text() + f"\n../beside.html\n{elsewhere}\n\n.git\n")
    book._publish(tmp_path / "second", out)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {".git/HEAD", "CNAME", "old/x.html", "a.html", book.WRITTEN}
    assert (out / "a.html").read_text() == "second" and listed.read_text() == "a.html"
    assert beside.exists() and elsewhere.exists()


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
