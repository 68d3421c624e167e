"""A model's folder tells how it writes thoughts and calls, without a load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.formats.test_families import TEMPLATES

from local_ai.engine.formats.families import CALLS, THOUGHTS, choose_format
from local_ai.engine.formats.folder import read_format

DOCS = (Path(__file__).parents[3] / "docs/api.md").read_text().replace(r"\|", "|")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_template_tells_the_family_wherever_it_stands(tmp_path: Path, template: str):
    config, own = tmp_path / "tokenizer_config.json", tmp_path / "chat_template.jinja"
    found = []
    for stated in (template, [{"name": "rag", "template": ""}, {"name": "default", "template": template}]):
        config.write_text(json.dumps({"chat_template": stated}))
        found.append(read_format(tmp_path))
    config.unlink()
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template}), "utf-8-sig")
    found.append(read_format(tmp_path))
    own.write_text(template)
    (tmp_path / "chat_template.json").unlink()
    found.append(read_format(tmp_path))

    assert found == [choose_format(template, ())] * 4


@pytest.mark.parametrize("where", ["tokenizer.json", "tokenizer_config.json"])
def test_added_tokens_tell_what_the_template_does_not(tmp_path: Path, where: str):
    tokens = [{"content": "<|tool_call_start|>"}, {"content": "<|tool_call_end|>"}, None]
    content = (
        {"added_tokens": tokens}
        if where == "tokenizer.json"
        else {"added_tokens_decoder": dict(enumerate(tokens))}
    )
    (tmp_path / where).write_text(json.dumps(content))

    assert read_format(tmp_path).calls.title == "Python in <|tool_call_start|>"


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"added_tokens": 5, "chat_template": 5}', "{"])
def test_broken_files_count_as_empty(tmp_path: Path, content: str):
    for name in ("tokenizer_config.json", "tokenizer.json", "chat_template.json"):
        (tmp_path / name).write_text(content)

    assert read_format(tmp_path) == choose_format("", ())


def test_reading_a_format_imports_no_mlx():
    code = "import sys, local_ai.engine.formats.folder; sys.exit('mlx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_way_of_writing_is_in_the_documentation():
    titles = {calls.title for calls in CALLS}
    marks = {mark for marks in THOUGHTS for mark in (marks.start, marks.end)}

    assert {text for text in titles | marks if f"`{text}`" not in DOCS} == set()
