"""The frame of a page and the page itself share one room: neither may take the other's names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import nodes

FRAMES = (
    "dashboards/console/templates/shell.html",
    "dashboards/ui/templates/ui/base.html",
    "dashboards/ui/templates/ui/bare.html",
)
# What a page tells its frame by this very name.
TOLD = {"section"}


def set_in(node: nodes.Node) -> Iterator[str]:
    """The names that a template sets for everybody."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Block | nodes.Macro | nodes.For | nodes.CallBlock):
            continue
        if isinstance(child, nodes.Assign):
            yield from (name.name for name in child.find_all(nodes.Name) if name.ctx == "store")
        yield from set_in(child)


def given_in(tree: ast.AST) -> Iterator[str]:
    """The names under which a module may give values to a page."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Dict):
            yield from (
                key.value
                for key in node.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            )


def test_no_page_is_given_a_name_that_its_frame_sets(project: Path) -> None:
    environment = jinja2.Environment(
        extensions=["jinja2.ext.do", "jinja2.ext.i18n"], autoescape=True
    )
    taken = {
        name
        for path in FRAMES
        for name in set_in(environment.parse((project / path).read_text("utf-8")))
    }
    assert "rail_entries" in taken
    given = {
        name: path.name
        for path in (project / "dashboards" / "console").rglob("*.py")
        for name in given_in(ast.parse(path.read_text("utf-8")))
    }
    assert {name: given[name] for name in (taken - TOLD) & given.keys()} == {}
