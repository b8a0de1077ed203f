"""Building the book: which notebooks run first, what is left out, and what stops it."""

import shutil

import lxml.html
import nbformat
import pytest
from written import code, notebook, text

from dsi_core.reproduce import book, proof, run, sources
from dsi_core.runtime import released
from dsi_core.settings.profile import load_profile


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


def test_a_notebook_whose_section_is_missing_is_in_no_contents(repository, tmp_path, monkeypatch):
    """It is not waited for; a link to it leads to the reason, and the first page names it."""
    here, out = tmp_path / "repository", tmp_path / "site"
    shutil.copytree(repository, here, ignore=shutil.ignore_patterns("site", "book", ".small"))
    shutil.copytree(repository / "notebooks" / "book", here / "notebooks" / "book")
    whole = notebook(text("# 5. Whole\n\nWords."), code("settings(run)"))
    nbformat.write(whole, here / "notebooks" / "05_whole.ipynb")
    part = notebook(text("# Part"), code("judged(run)", "needs-dpdllm", "skip-execution"))
    nbformat.write(part, here / "executed" / "small" / "02_not_run.ipynb")
    index = here / "notebooks" / "book" / "index.md"
    alone = "```{toctree}\n:caption: Alone\n\nnotebooks/05_whole\n```\n"
    index.write_text(f"{index.read_text()}\n{alone}")
    words = here / "notebooks" / "pages" / "words.md"
    words.write_text(f"{words.read_text()}\nSee [the whole](../05_whole.ipynb).\n")
    bare = load_profile("smoke").changed(name="small", robustness=None, dpdllm=None)
    monkeypatch.setattr(sources.profiles, "load_profile", lambda _: bare)
    for module in (book, run, sources):
        monkeypatch.setattr(module, "ROOT", here)
    assert "05_whole" not in [path.stem for path in sources.stale("small")]

    book.build("small", out, as_is=True)
    assert proof.faults(out) == []
    first, left_out, in_part = (
        lxml.html.parse(out / f"{name}.html").getroot()
        for name in ("index", "notebooks/05_whole", "notebooks/02_not_run")
    )
    assert "no sections for them: 05_whole (robustness)." in first.text_content()
    assert not first.xpath("//nav//a[contains(@href, '05_whole')]")
    assert not first.xpath("//*[contains(text(), 'Alone')]")
    said = "Left out: profile ‘small’ has no section robustness."
    assert said in left_out.text_content() and "Words." not in left_out.text_content()
    assert "Left out: it needs dpdllm, which the profile has not." in in_part.text_content()
