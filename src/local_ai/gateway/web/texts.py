"""The page's texts: one file a language, `templates/texts/LANGUAGE.toml`; a new file is a new language."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

ENGLISH = "en"
_MOST_RANGES = 20  # of an Accept-Language header


@dataclass(frozen=True)
class Texts:
    """The texts in one language."""

    language: str  # as `lang` takes it
    views: SimpleNamespace  # for templates: VIEW.NAME
    script: Mapping[str, Mapping[str, str]]  # for the page's JavaScript: VIEW, then NAME

    @property
    def name(self) -> str:
        """The language's name for itself."""
        return str(self.views.page.name)


@cache
def load_texts() -> Mapping[str, Texts]:
    """Read the texts; returns them by language, English first."""
    from local_ai.supervision.render import template_dir

    files = sorted(
        (template_dir() / "texts").glob("*.toml"), key=lambda file: (file.stem != ENGLISH, file.stem)
    )
    return {file.stem: _make_texts(file.stem, tomllib.loads(file.read_text("utf-8"))) for file in files}


def _make_texts(language: str, tables: Mapping[str, Mapping[str, str | Mapping[str, str]]]) -> Texts:
    # Attributes, for `text.page.copy` must not be a dict's method.
    views = {
        view: SimpleNamespace(
            **{
                name: value if isinstance(value, str) else SimpleNamespace(**value)
                for name, value in table.items()
            }
        )
        for view, table in tables.items()
    }
    scripts = {view: table.get("script") for view, table in tables.items()}
    return Texts(
        language,
        SimpleNamespace(**views),
        {view: script for view, script in scripts.items() if isinstance(script, Mapping)},
    )


def language_for(accepted: str) -> str:
    """Return the language that a visitor likes best among those there are; English where none is.

    Args:
        accepted: An Accept-Language header: "de-CH, fr;q=0.8, en;q=0.5".

    Source:
        RFC 9110, 12.5.4.
    """
    weights: dict[str, float] = {}
    for item in accepted.split(",")[:_MOST_RANGES]:
        tag, _, parameter = item.partition(";")
        language = tag.strip().partition("-")[0].lower()
        weight = _weight(parameter)
        if language in load_texts() and weight > weights.get(language, 0):
            weights[language] = weight
    return max(weights, key=lambda language: weights[language], default=ENGLISH)


def _weight(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
    except ValueError:
        return 0.0
