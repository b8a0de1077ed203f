"""Notebooks that are written for a test."""

import nbformat


def notebook(*cells: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook of these cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)


def code(source: str, *tags: str, html: str | None = None) -> nbformat.NotebookNode:
    """A cell of code with these tags, and what it showed."""
    data = {"text/html": html, "text/plain": "shown"}
    outputs = [nbformat.v4.new_output("display_data", data)] if html else []
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs)


def text(source: str) -> nbformat.NotebookNode:
    """A cell of text."""
    return nbformat.v4.new_markdown_cell(source)
