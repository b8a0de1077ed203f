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


def test_a_page_of_yours_is_not_overwritten(tmp_path):
    out, html = tmp_path / "out", tmp_path / "html"
    for folder, words in ((out, "mine"), (html, "the book's")):
        folder.mkdir()
        (folder / "index.html").write_text(words)
    with pytest.raises(ValueError, match=r"index\.html: no build of a book wrote this"):
        book._publish(html, out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("index.html", "mine")]


def test_a_site_of_a_version_without_a_list_is_written_over(tmp_path):
    out, html = tmp_path / "out", tmp_path / "html"
    for folder, words in ((out, "somebody's"), (html, "today")):
        folder.mkdir()
        (folder / "index.html").write_text(words)
    (out / ".buildinfo").write_text("Sphinx build info")
    (out / "CNAME").write_text("mine")
    with pytest.raises(ValueError, match=r"index\.html: no build of a book wrote this"):
        book._publish(html, out)
    (out / "index.html").write_text("yesterday's page of dsi_core")
    book._publish(html, out)
    assert (out / "index.html").read_text() == "today" and (out / "CNAME").exists()


@pytest.mark.parametrize("fault", ["[nothing](none.md)", "```{none.md}\n```"])
def test_a_fault_stops_the_book_until_it_is_mended(fault, asked, repository, tmp_path, capfd):
    """A link is followed when a page is written, a directive when it is read, which is kept."""
    words = repository / "notebooks" / "pages" / "words.md"
    as_it_was = words.read_text()
    words.write_text(f"{as_it_was}\n{fault}\n")
    try:
        for _ in range(2):
            with pytest.raises(ValueError, match="Sphinx has complaints"):
                book.build("small", tmp_path / "site", as_is=True)
            assert "none.md" in capfd.readouterr().err
    finally:
        words.write_text(as_it_was)
    assert asked == []
