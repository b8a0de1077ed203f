"""What the notebooks' cells call exists and takes these arguments; found without running them."""

import ast
import builtins
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import cells
import pytest

GIVEN = {"display", "get_ipython"}  # by the kernel


def code_of(path: Path) -> str:
    return "\n".join(cell.source for cell in cells.code(path))


def imported(tree: ast.Module) -> dict[str, object]:
    """What each imported name is bound to. Raises where there is no such module or name."""
    bound: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name] = importlib.import_module(alias.name)
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                bound[alias.asname or alias.name] = getattr(module, alias.name)
    return bound


def resolved(node: ast.expr, bound: dict[str, object]) -> object | None:
    """What `name` or `module.name` stands for; None where only a run could tell."""
    if isinstance(node, ast.Name):
        return bound.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = bound.get(node.value.id)
        if isinstance(owner, ModuleType):
            return getattr(owner, node.attr)  # raises AttributeError where it has no such name
    return None


def check(code: str) -> None:
    """Raise `AttributeError`, `ImportError`, `NameError` or `TypeError` for what a run would."""
    tree = ast.parse(code)
    bound = imported(tree)
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_stored(n)}
    if clash := stored & set(bound):
        raise NameError(f"{', '.join(sorted(clash))}: an imported name is assigned to")
    loaded = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and not _is_stored(n)]
    known = stored | set(bound) | GIVEN | set(vars(builtins))
    if unknown := {n.id for n in loaded} - known:
        raise NameError(f"{', '.join(sorted(unknown))}: not defined in any cell")
    if unused := set(bound) - {n.id for n in loaded}:
        raise NameError(f"{', '.join(sorted(unused))}: imported and not used")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            resolved(node, bound)
        if isinstance(node, ast.Call):
            _check_arguments(node, bound)


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _check_arguments(call: ast.Call, bound: dict[str, object]) -> None:
    function = resolved(call.func, bound)
    if not inspect.isfunction(function):
        return
    keywords = {k.arg: None for k in call.keywords}
    try:
        inspect.signature(function).bind(*call.args, **keywords)
    except TypeError as error:
        raise TypeError(f"line {call.lineno}, {ast.unparse(call.func)}: {error}") from None


@pytest.mark.parametrize("path", cells.paths(), ids=lambda p: p.name)
def test_every_name_and_argument_exists(path):
    check(code_of(path))


@pytest.mark.parametrize(
    "code, error",
    [
        ("from dsi_core.plots import picture", "dsi_core.plots.picture"),
        ("from dsi_core.plots import vote\nvote.plot_vote(1)", "plot_vote"),
        ("from dsi_core.plots import vote\nvote.plot_votes(1, caption=2)", "caption"),
        ("from dsi_core.plots import vote\nvote.plot_gaps(1)", "delta_t"),
        ("from dsi_core.plots.vote import plot_gaps\nplot_gaps(1)", "delta_t"),
        ("from dsi_core.plots import vote\nvote = vote.plot_votes(1)", "assigned"),
        ("from dsi_core.plots import vote", "not used"),
        ("print(answer)", "answer: not defined"),
    ],
)
def test_what_a_run_would_stumble_over_is_found(code, error):
    with pytest.raises((AttributeError, ImportError, NameError, TypeError), match=error):
        check(code)


@pytest.mark.parametrize("path", cells.paths(), ids=lambda p: p.name)
def test_imports_are_one_sorted_line_a_room(path):
    lines = [
        n for n in ast.parse(code_of(path)).body if isinstance(n, (ast.Import, ast.ImportFrom))
    ]
    own = [n for n in lines if isinstance(n, ast.ImportFrom) and n.module.startswith("dsi_core")]
    rooms = [n.module for n in own]
    assert rooms == sorted(set(rooms))
    for line in own:
        names = [a.name for a in line.names]
        assert names == sorted(names, key=lambda n: (not n.isupper(), n)), ast.unparse(line)
        assert not any(a.asname for a in line.names), f"{ast.unparse(line)}: an alias"
