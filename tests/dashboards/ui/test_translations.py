"""Every sentence that a person can see has an English translation, and the two fit together."""

import json
import re
from collections import defaultdict
from pathlib import Path

from babel.messages.extract import extract
from babel.messages.pofile import read_po

from dashboards.ui.i18n import (
    CATALOG_FOLDER,
    Key,
    normal_locale,
    read_catalogs,
    translator,
)

DASHBOARDS = CATALOG_FOLDER.parent
KEYWORDS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
TEMPLATE_OPTIONS = {"extensions": "jinja2.ext.do", "trim_blocks": "true", "silent": "false"}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w+\}")


def sentences() -> dict[Key, str]:
    """Every message of templates, Python and TypeScript, with the place where it stands."""
    found: dict[Key, str] = {}
    for path in sorted(DASHBOARDS.rglob("*.*")):
        if {"node_modules", "dist", "grafana"} & set(path.parts):
            continue
        if path.suffix == ".ts":
            for match in re.finditer(r'\bt\(\s*"((?:[^"\\]|\\.)*)"', path.read_text("utf-8")):
                found.setdefault((None, json.loads(f'"{match[1]}"')), path.name)
        elif path.suffix in {".html", ".py"}:
            found.update(marked_in(path))
    return found


def marked_in(path: Path) -> dict[Key, str]:
    method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
    options = {} if path.suffix == ".py" else TEMPLATE_OPTIONS
    with path.open("rb") as file:
        messages = list(extract(method, file, keywords=KEYWORDS, options=options))
    place = str(path.relative_to(DASHBOARDS))
    return {
        (context, message if isinstance(message, str) else message[0]): f"{place}:{line}"
        for line, message, _, context in messages
    }


def test_every_sentence_has_an_english_translation() -> None:
    english = translator("en").messages
    missing = [f"{place}: {key[1]}" for key, place in sentences().items() if key not in english]
    assert missing == []


def test_translations_keep_the_placeholders() -> None:
    wrong = []
    for (_, message), strings in translator("en").messages.items():
        wanted = set(PLACEHOLDER.findall(message))
        wrong += [message for text in strings if set(PLACEHOLDER.findall(text)) != wanted]
    assert wrong == []


def test_parts_do_not_translate_the_same_sentence_differently() -> None:
    seen: dict[Key, dict[str, str]] = defaultdict(dict)
    for path in sorted((CATALOG_FOLDER / "en").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale="en"):
                if message.id and message.string:
                    name = message.id if isinstance(message.id, str) else message.id[0]
                    seen[(message.context, name)][str(message.string)] = path.name
    assert {key: places for key, places in seen.items() if len(places) > 1} == {}


def test_templates_have_no_chinese_outside_of_translations() -> None:
    """A word between tags that nobody marked would stay Chinese in English."""
    found = []
    allowed = {"语言", "中文"}
    for path in sorted(DASHBOARDS.glob("*/templates/**/*.html")):
        if path.name == "gallery.html":
            continue
        text = re.sub(
            r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<!--.*?-->", "", path.read_text("utf-8"), flags=re.S
        )
        words = set(re.findall(r"[一-鿿]+", text)) - allowed
        if words:
            found.append(f"{path.relative_to(DASHBOARDS)}: {sorted(words)}")
    assert found == []


def test_unknown_locales_are_chinese() -> None:
    assert [normal_locale(wish) for wish in ("zh", "en", "en_US", "fr", "", None)] == [
        "zh-CN",
        "en",
        "en",
        "zh-CN",
        "zh-CN",
        "zh-CN",
    ]


def test_plurals_choose_their_form(tmp_path: Path) -> None:
    (tmp_path / "a.po").write_text(
        'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        'msgid "%(n)d 台"\nmsgid_plural "%(n)d 台"\nmsgstr[0] "%(n)d device"\n'
        'msgstr[1] "%(n)d devices"\n',
        encoding="utf-8",
    )
    folder = tmp_path / "en"
    tmp_path.joinpath("a.po").rename(folder.mkdir() or folder / "a.po")
    assert read_catalogs(folder)[(None, "%(n)d 台")] == ("%(n)d device", "%(n)d devices")
