"""The page's texts: the same in each language, all of them in the texts' files, and used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest

from local_ai.gateway.web.texts import language_for, load_texts
from local_ai.supervision.render import template_dir

WEB = template_dir() / "web"
TEMPLATES = sorted(WEB.glob("*.html"))
SCRIPTS = sorted(WEB.glob("*.js"))
SPOKEN = {
    "alt",
    "aria-label",
    "aria-description",
    "data-label",
    "label",
    "placeholder",
    "title",
}  # attributes
# Names, which are the same in each language, and what stands for itself.
NAMES = {
    "local-ai",
    "mlx-community",
    "OpenAI",
    "Anthropic",
    "supervisord",
    "gpt-4o = default",
    "GB",
    "hidden",
}
# Keys of the keyboard, headers, commands, values that browsers define, and what goes into reports as data.
VALUES = {"Enter", "Shift", "Esc", "Escape", "ArrowDown", "Content-Type", "Bearer ${key}", "light dark"}
VALUES |= {"Files", "local-ai models --help", "noopener noreferrer", "no answer"}
HIDDEN = {"style", "script", "svg"}
KEY = re.compile(r"""textOf\((?:\w+ \? )?([^)]*?)[,)]""")


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def flat(node: object, way: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a language with its key."""
    for name, value in vars(node).items():
        key = f"{way}.{name}".lstrip(".")
        if isinstance(value, str):
            yield key, value
        else:
            yield from flat(value, key)


ALL = {language: dict(flat(texts.views)) for language, texts in load_texts().items()}


def test_english_comes_first_and_there_is_another_language():
    assert next(iter(ALL)) == "en"
    assert len(ALL) > 1


@pytest.mark.parametrize("language", ALL)
def test_languages_have_the_same_texts_and_places(language: str):
    expected = {key: placeholders(text) for key, text in ALL["en"].items()}

    assert {key: placeholders(text) for key, text in ALL[language].items()} == expected
    assert [key for key, text in ALL[language].items() if text != text.strip() or not text] == []


def test_every_text_is_used_and_every_text_that_is_used_exists():
    used = set()
    for file in TEMPLATES:
        used |= set(re.findall(r"\btext\.([\w.]+)", file.read_text()))
        for view, name in re.findall(r'\btext\.([\w.]+)\["([\w-]+)"\]', file.read_text()):
            used |= {f"{view}.{name}"}
    scripts = set()
    for file in SCRIPTS:
        calls = "".join(re.findall(r"textOf\([^;]*", file.read_text()))
        scripts |= set(re.findall(r'"([a-z]+\.[\w-]+)"', calls))
    scripts = {key.replace(".", ".script.", 1) for key in scripts}
    # Those whose names are data, in both: programs, colours; and the names of views alone.
    by_name = {key for key in ALL["en"] if re.search(r"server\.script\.(mlx-|welcome-|omni)", key)}
    by_name |= {key for key in ALL["en"] if key.startswith("states.script.")}
    by_name |= {f"appearance.{scheme}" for scheme in ("auto", "light", "dark")} | {"page.name"}
    in_python = {f"server.script.{name}" for name in ("queue", "longest", "not_listed")}
    keys = set(ALL["en"])

    assert keys - used - scripts - by_name - in_python == set()
    assert {key for key in scripts if key not in keys} == set()
    assert {key for key in used if key not in keys} <= {"appearance", "server.script"}


class _Words(HTMLParser):
    """Collects what a reader of the document would read or hear."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HIDDEN | {"kbd"}:
            self.within.append(tag)
        self.found += [value or "" for name, value in attrs if name in SPOKEN]

    def handle_endtag(self, tag: str) -> None:
        if self.within and self.within[-1] == tag:
            self.within.pop()

    def handle_data(self, data: str) -> None:
        if not self.within:
            # Attributes may stand in a block of their own.
            self.found.append(re.sub(r'\b[\w-]+="[^"]*"', "", data))


def words_of(source: str) -> Iterator[str]:
    """Yield what a template says by itself: in its HTML, and in the texts within its expressions."""
    html = ""
    for _line, kind, value in jinja2.Environment().lex(source):
        if kind == "data":
            html += value
        elif kind == "string" and is_sentence(value[1:-1]):
            yield value[1:-1]
        elif kind.endswith("_begin"):
            html += "\ue000"
    parser = _Words()
    parser.feed(html)
    for piece in (piece for found in parser.found for piece in re.split(r"\ue000|[(),.;:·]", found)):
        if re.search(r"[^\W\d_]{2}", piece) and piece.strip() not in NAMES:
            yield piece.strip()


def is_sentence(text: str) -> bool:
    """Tell whether a literal of code reads like words: some of them, or one with a capital letter."""
    plain = re.sub(r"\$\{[^}]*\}", "", text)
    if text in VALUES or text.startswith("."):  # the latter select elements
        return False
    return bool(re.match(r"[A-Z][a-z]+\b(?![-/])", plain) or re.search(r"[A-Za-z]{2,},? [a-z]{2,}", plain))


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_templates_hold_no_words_of_their_own(file: Path):
    assert list(words_of(file.read_text())) == []


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_scripts_hold_no_words_of_their_own(file: Path):
    code = re.sub(r"^\s*//.*$|\s// .*$", "", file.read_text(), flags=re.MULTILINE)
    literals = re.findall(r"\"([^\"\n]*)\"|`([^`]*)`", code)
    found = {literal for pair in literals for literal in pair if is_sentence(literal)}

    assert found == set()


def test_scan_finds_words_in_every_place_where_they_could_stand():
    page = """<p title="Some title">Hello {{ name }}<b>{{ "not set" if x else "Load" }}</b></p>"""

    assert sorted(words_of(page)) == ["Hello", "Load", "Some title", "not set"]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("fr, de;q=0.4, en;q=0.3", "de"),
        ("fr, *;q=0.5", "en"),
        ("de;q=0, fr", "en"),
        ("de;q=x", "en"),
        ("DE", "de"),
        (",".join(["fr"] * 100_000), "en"),
    ],
)
def test_language_is_the_one_that_the_browser_likes_best(accepted: str, language: str):
    assert language_for(accepted) == language
