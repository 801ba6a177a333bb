"""What the README and the documents say of commands and settings is what there is."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel, SecretStr

from app.cli import app
from app.settings import Settings

FENCE = re.compile(r"^```(?:sh|bash|console|text)?\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"`(silverline [a-z][^`]*)`", re.S)
# Words that stand for a value in the table of settings.
NOTHING, OFF = "–", "off"


def documents(project: Path) -> list[Path]:
    return [*project.glob("*.md"), *project.glob("docs/**/*.md")]


def commands_in(text: str) -> list[str]:
    """Every command line that begins with `silverline`, with what was on the next lines of it."""
    found = [" ".join(one.split()) for one in INLINE.findall(text)]
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.search(r"(?:^|\s|\$ )(silverline [a-z].*)", line.split(" # ")[0])
            if match and not line.lstrip().startswith("#") and "compose" not in line:
                found.append(match[1])
    return found


def problem_of(line: str) -> str:
    """What is wrong with a command line, "" for one that exists with these options."""
    words = shlex.split(re.split(r"[|>]| && ", line)[0].replace("…", ""))[1:]
    command: Any = typer.main.get_command(app)
    skip = False
    for word in words:
        within = getattr(command, "commands", {})
        if skip:
            skip = False
        elif word.startswith("--"):
            name, _, value = word.partition("=")
            option = next((each for each in command.params if name in names_of(each)), None)
            if option is None and name != "--help":
                return f"{line}: no option {name}"
            skip = not value and option is not None and not option.is_flag
        elif word in within:
            command = within[word]
        elif within and not word.startswith(("-", "<", "[")):
            return f"{line}: there is no {word}"
    return ""


def names_of(option: Any) -> tuple[str, ...]:
    return (*option.opts, *option.secondary_opts)


def test_every_command_that_a_document_names_exists_with_its_options(project: Path) -> None:
    lines = {line for path in documents(project) for line in commands_in(path.read_text("utf-8"))}
    assert len(lines) > 15
    assert sorted(filter(None, map(problem_of, lines))) == []


def test_the_readme_names_the_commands_that_set_an_installation_up(project: Path) -> None:
    wanted = ("user add", "responder add", "responder list", "duty-phone set", "doctor")
    for name in ("README.md", "README.zh-CN.md"):
        text = (project / name).read_text("utf-8")
        assert [one for one in wanted if f"silverline {one}" not in " ".join(text.split())] == []


def rows_of(text: str) -> list[tuple[list[str], list[str]]]:
    """The rows of the table of settings: (names written out, defaults)."""
    found = []
    for row in re.findall(r"^\| (`SILVERLINE_.*) \|$", text, re.M):
        names, defaults, _ = (cell.strip() for cell in row.split(" | ", 2))
        found.append((written_out(re.findall(r"`([^`]+)`", names)), split_defaults(defaults)))
    return found


def written_out(names: list[str]) -> list[str]:
    """`SILVERLINE_MQTT__HOST`, `__PORT` → both whole."""
    first = names[0]
    section = first.rsplit("__", 1)[0] if "__" in first else ""
    return [
        name if name.startswith("SILVERLINE_") else section + name if name.startswith("__")
        else f"SILVERLINE{name}" for name in names
    ]  # fmt: skip


def split_defaults(cell: str) -> list[str]:
    return [one.strip() for one in re.split(r"[,、](?![^{]*\})", cell)]


def setting(name: str) -> Any:
    """The default of a setting. Raises KeyError for what is none."""
    model: type[BaseModel] = Settings
    *sections, last = name.removeprefix("SILVERLINE_").lower().split("__")
    for section in sections:
        kind = model.model_fields[section].annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        model = kind
    default = model.model_fields[last].default
    return default.get_secret_value() if isinstance(default, SecretStr) else default


def written(default: Any) -> set[str]:
    """The ways in which the table may write a default."""
    if default in ("", None, ()):
        return {NOTHING}
    if isinstance(default, bool):
        return {str(default).lower()}
    if isinstance(default, dict):
        pairs = ", ".join(f'"{key}": {value}' for key, value in default.items())
        return {f"`{{{pairs}}}`"}
    return {OFF, "0"} if default == 0 else {str(default)}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_table_of_settings_says_names_and_defaults_as_they_are(
    project: Path, name: str
) -> None:
    rows = rows_of((project / name).read_text("utf-8"))
    names = [one for listed, _ in rows for one in listed]
    assert len(names) == len(set(names)), "a setting stands there twice"
    wrong = []
    for listed, defaults in rows:
        said = defaults * len(listed) if len(defaults) == 1 else defaults
        assert len(said) == len(listed), listed
        for one, default in zip(listed, said, strict=True):
            # A sentence says where the value comes from when none is set.
            plain = " " not in default or default.startswith("`")
            if plain and default not in written(setting(one)):
                wrong.append(f"{one}: {default} instead of {written(setting(one))}")
            assert plain or setting(one) in ("", None), one
    assert wrong == []
