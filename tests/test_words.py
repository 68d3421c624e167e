"""Texts use the field's word for a thing, and not an image of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "config.example.toml",
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "templates/web").glob("*.html"),
    *(ROOT / "templates/web").glob("*.js"),
]
WORDS = {
    r"put(s|ting)? (it |the model |\S+ )?away": "unload",
    r"wedged": "stuck",
    r"mend(s|ed)?": "fix",
    r"(to be|is|are) had": "available",
    r"held? against": "check against",
}


def texts() -> Iterator[tuple[str, str]]:
    """Yield every page, and every text and docstring of the source, with the file it is in."""
    for page in PAGES:
        yield page.name, page.read_text()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield str(file.relative_to(ROOT)), node.value


TEXTS = list(texts())


@pytest.mark.parametrize("image", WORDS)
def test_no_text_uses_an_image_where_there_is_a_word(image: str):
    found = {file for file, text in TEXTS if re.search(rf"\b{image}\b", text, re.IGNORECASE)}

    assert found == set(), f"say {WORDS[image]!r}"
