"""Our environment of chat templates is transformers'."""

from __future__ import annotations

import pytest
from transformers.utils import chat_template_utils

from local_ai.engine.templating.environment import compile_template

TEMPLATES = (
    "{%- if a %}\n  {{ a }}\n{% endif %}\n  x",
    "{{ {'b': 'é<', 'a': [1, none, true]}|tojson }}{{ [1]|tojson(indent=2) }}",
    "{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, separators=(',', ':')) }}",
    "{% generation %}{{ a }}{% endgeneration %}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(9) %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% set n = namespace(self=1, y=a) %}{% set n.y = n.y ~ '!' %}{{ n.y }}{{ n.self }}",
    "{{ dict(a=1, b=a) }}{{ dict.fromkeys([1, 2], 3) }}",
    "{{ strftime_now('%Y') }}",
    "{{ missing }}|{{ missing is defined }}|{{ missing.x }}",
    "{{ raise_exception('no') }}",
    "{% set n = namespace(_x=1) %}",
    "{% set n = namespace() %}{% set n._x = 1 %}",
    "{{ a.__class__.__mro__ }}",
    "{{ dict.__class__ }}",
    "{{ [].append(1) }}",
    "{{ range(10**9) }}",
    "{% if %}",
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_writes_what_it_writes_in_transformers(template: str):
    assert outcome(compile_template, template) == outcome(their_compile, template)


def test_it_has_what_theirs_has():
    ours, theirs = compile_template("x").environment, their_compile("x").environment

    assert sorted(ours.filters) == sorted(theirs.filters)
    assert sorted(ours.globals) == sorted(theirs.globals)
    assert sorted(ours.tests) == sorted(theirs.tests)
    assert len(ours.extensions) == len(theirs.extensions)


their_compile = chat_template_utils._cached_compile_jinja_template


def outcome(compile_one, template: str) -> str:
    try:
        return compile_one(template).render(a="word")
    except Exception as exc:
        return type(exc).__name__
