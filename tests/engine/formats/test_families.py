"""Families' ways of writing, read as their models write them, wherever tokens end."""

# ruff: noqa: E501 (what models write stands as it is written)

from __future__ import annotations

import json
from typing import Any

import pytest

from local_ai.engine.formats.families import choose_format
from local_ai.engine.formats.format import Format
from local_ai.engine.text.output_parser import OutputParser
from local_ai.engine.text.tools import read_calls

READ: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "lines": {"type": "integer"},
        "note": {"type": ["string", "null"]},
        "tags": {"type": "array"},
        "all": {"type": "boolean"},
        "mode": {"$ref": "#/$defs/Mode"},
    },
    "$defs": {"Mode": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = {"fs-read": READ, "get.weather": WEATHER}

# What in a template, or among a tokenizer's tokens, tells each family.
TEMPLATES = {
    "hermes": "<tool_call> tool_call.name",
    "qwen3-coder": "<tool_call>\n<function=",
    "seed": "<seed:tool_call> <seed:think> </seed:think>",
    "glm": "<tool_call> <arg_key> <think> </think>",
    "longcat": "<longcat_tool_call>",
    "minimax": "<minimax:tool_call> <think> </think>",
    "mistral": "[TOOL_CALLS] [ARGS]",
    "mistral, older": "[TOOL_CALLS]",
    "magistral": "[TOOL_CALLS] [ARGS] [THINK] [/THINK]",
    "lfm2": "<|tool_list_start|>",
    "lfm2.5": "<|tool_call_start|>",
    "deepseek": "<｜tool▁calls▁begin｜>",
    "deepseek 3.2": "｜DSML｜",
    "kimi k2": "<|tool_calls_section_begin|>",
    "gemma 4": "<|tool_call> <tool_call|> <|channel> <channel|>",
    "function gemma": "<start_function_call>",
    "minicpm": '<function name=" <param name="',
    "muse": "<atem:function_calls>",
    "llama": "<|python_tag|>",
    "gpt-oss": "<|channel|> <|message|>",
    "command": "<|START_ACTION|> <|START_THINKING|> <|END_THINKING|>",
    "nemotron": "<TOOLCALL>",
    "granite": "<|tool_call|>",
    "olmo": "<function_calls>",
}


def call(name: str, **arguments: Any) -> tuple[str, str, dict[str, Any]]:
    return ("call", name, arguments)


def read(
    form: Format, text: str, *, offers: bool = True, in_thought: bool = False, step: int = 1
) -> list[Any]:
    """Pieces of an answer that comes `step` characters at a time, neighbours of one kind joined."""
    splitter = OutputParser(form, tools=TOOLS if offers else None, in_thought=in_thought)
    parts = [splitter.feed(text[at : at + step]) for at in range(0, len(text), step)]
    found: list[Any] = []
    for segment in [*(segment for part in parts for segment in part), *splitter.finish()]:
        pieces: list[Any] = [(segment.kind, segment.text)]
        if segment.kind == "call":
            calls = read_calls(segment.text, segment.shown, form, TOOLS)
            pieces = [
                ("text", one) if isinstance(one, str) else call(one.name, **json.loads(one.arguments))
                for one in calls
            ]
        for piece in pieces:
            if found and piece[0] == found[-1][0] != "call":
                piece = (piece[0], found.pop()[1] + piece[1])
            found.append(piece)
    return found


CASES: list[tuple[str, str, list[Any]]] = [
    (
        "hermes",
        'Look. <tool_call>\n{"name": "fs-read", "arguments": {"path": "a</tool_call>b"}}\n'
        '{"name": "get.weather", "arguments": {"city": "Rome"}}\n</tool_call>\nDone',
        [
            ("text", "Look. "),
            call("fs-read", path="a</tool_call>b"),
            call("get.weather", city="Rome"),
            ("text", "Done"),
        ],
    ),
    (
        "hermes",
        "<tool_call>{'name': 'fs-read', 'arguments': {'all': True}}</tool_call>",
        [call("fs-read", all=True)],
    ),
    (
        "hermes",
        '<tool_call>{"name": "fs-read", "arguments": "{\\"path\\": \\"a\\"}"}</tool_call>',
        [call("fs-read", path="a")],
    ),
    (
        "hermes",
        '<tool_call>[{"function": {"name": "fs-read", "arguments": {"path": "one\nline"}}}]</tool_call>',
        [call("fs-read", path="one\nline")],
    ),
    (
        "qwen3-coder",
        "<tool_call>\n<function=fs-read>\n<parameter=path>\nuse </parameter>, </function> or </tool_call> here\n"
        "</parameter>\n<parameter=lines>\nfive\n</parameter>\n<parameter=note>\nnull\n</parameter>\n<parameter=tags>\n"
        '[1, "a"]\n</parameter>\n<parameter=all>\nTrue\n</parameter>\n<parameter=mode>\n1.5\n</parameter>\n'
        "</function>\n</tool_call>",
        [
            call(
                "fs-read",
                path="use </parameter>, </function> or </tool_call> here",
                lines="five",
                note=None,
                tags=[1, "a"],
                all=True,
                mode=1.5,
            )
        ],
    ),
    (
        "qwen3-coder",
        "<tool_call>\n<function=fs-read>\n<parameter=note>\nnull and void\n</parameter>\n<parameter=path>\n5\n"
        "</parameter>\n</function>\n<function=get.weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n"
        "</tool_call>",
        [call("fs-read", note="null and void", path="5"), call("get.weather", city="Rome")],
    ),
    (
        "qwen3-coder",
        "Sure.\n<function=fs-read>\n<parameter=path>\na\n</parameter>\n</function>\n</tool_call>",
        [("text", "Sure.\n"), call("fs-read", path="a")],
    ),
    ("qwen3-coder", "Write <function=name> first.", [("text", "Write <function=name> first.")]),
    (
        "seed",
        "<seed:think>hm</seed:think><seed:tool_call>\n<function=fs-read>\n<parameter=lines>5</parameter>\n</function>\n"
        "</seed:tool_call>",
        [("thought", "hm"), call("fs-read", lines=5)],
    ),
    (
        "glm",
        "<think>hm</think>\nNow.<tool_call>fs-read\n<arg_key>path</arg_key>\n<arg_value>  a </arg_value> b</arg_value>\n"
        "<arg_key>lines</arg_key>\n<arg_value>4</arg_value>\n</tool_call>\n<tool_call>get.weather<arg_key>city</arg_key>"
        "<arg_value>Rome</arg_value></tool_call>",
        [
            ("thought", "hm"),
            ("text", "Now."),
            call("fs-read", path="  a </arg_value> b", lines=4),
            call("get.weather", city="Rome"),
        ],
    ),
    (
        "longcat",
        "<longcat_tool_call>fs-read\n<longcat_arg_key>lines</longcat_arg_key>\n<longcat_arg_value>4</longcat_arg_value>\n"
        "</longcat_tool_call>",
        [call("fs-read", lines=4)],
    ),
    (
        "minimax",
        '<minimax:tool_call>\n<invoke name="fs-read">\n<parameter name="path">a</parameter>\n'
        '<parameter name="lines">5</parameter>\n</invoke>\n<invoke name="get.weather">\n'
        '<parameter name="city">Rome</parameter>\n</invoke>\n</minimax:tool_call>',
        [call("fs-read", path="a", lines=5), call("get.weather", city="Rome")],
    ),
    (
        "mistral",
        '[TOOL_CALLS]fs-read[CALL_ID]abc123xyz[ARGS]{"path": "a[ARGS]"}[TOOL_CALLS]get.weather[ARGS]{"city": "Rome"}',
        [call("fs-read", path="a[ARGS]"), call("get.weather", city="Rome")],
    ),
    (
        "mistral, older",
        '[TOOL_CALLS] [{"name": "fs-read", "arguments": {"path": "a"}}, '
        '{"name": "get.weather", "arguments": {"city": "Rome"}, "id": "123456789"}]',
        [call("fs-read", path="a"), call("get.weather", city="Rome")],
    ),
    (
        "magistral",
        '[THINK]hm[/THINK]Now.[TOOL_CALLS]fs-read{"path": "a"}',
        [("thought", "hm"), ("text", "Now."), call("fs-read", path="a")],
    ),
    (
        "lfm2",
        "<|tool_call_start|>[fs-read(path=\"a, b)\", lines=3, tags=[1, true]), get.weather('Rome')]<|tool_call_end|>Done",
        [
            call("fs-read", path="a, b)", lines=3, tags=[1, True]),
            call("get.weather", city="Rome"),
            ("text", "Done"),
        ],
    ),
    (
        "lfm2.5",
        '<|tool_call_start|>[{"name": "fs-read", "arguments": {"path": "a"}}]<|tool_call_end|>',
        [call("fs-read", path="a")],
    ),
    (
        "deepseek",
        "Now.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>fs-read\n```json\n"
        '{"path": "a"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>get.weather<｜tool▁sep｜>{"city": "Rome"}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        [("text", "Now."), call("fs-read", path="a"), call("get.weather", city="Rome")],
    ),
    (
        "deepseek 3.2",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="fs-read">\n<｜DSML｜parameter name="path" string="true">5'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="lines" string="false">5</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        [call("fs-read", path="5", lines=5)],
    ),
    (
        "kimi k2",
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.fs-read:0<|tool_call_argument_begin|>{"path": "a"}'
        "<|tool_call_end|><|tool_call_begin|>functions.get.weather:1<|tool_call_argument_begin|>"
        '{"city": "Rome"}<|tool_call_end|><|tool_calls_section_end|>',
        [call("fs-read", path="a"), call("get.weather", city="Rome")],
    ),
    (
        "gemma 4",
        '<|channel>thought\nhm<channel|><|tool_call>call:fs-read{path:<|"|>a}, b<|"|>,lines:3,tags:[<|"|>x<|"|>,{y:true}]}'
        "<tool_call|>Done",
        [
            ("thought", "hm"),
            call("fs-read", path="a}, b", lines=3, tags=["x", {"y": True}]),
            ("text", "Done"),
        ],
    ),
    (
        "function gemma",
        "<start_function_call>call:get.weather{city:<escape>Ro,me<escape>}<end_function_call>",
        [call("get.weather", city="Ro,me")],
    ),
    (
        "minicpm",
        '<function name="fs-read"><param name="path"><![CDATA[a </param> b]]></param><param name="lines">5</param></function>'
        '<function name="get.weather"><param name="city">Rome</param></function>',
        [call("fs-read", path="a </param> b", lines=5), call("get.weather", city="Rome")],
    ),
    (
        "muse",
        'to=self<|message|>hm<|eom|><|start|>assistant to=fs-read<|message|><atem:function_calls><atem:invoke name="fs-read">'
        '<atem:parameter name="path">a</atem:parameter></atem:invoke></atem:function_calls><|eom|>'
        "<|start|>assistant to=user<|message|>Done<|eot|>",
        [("thought", "hm"), call("fs-read", path="a"), ("text", "Done")],
    ),
    (
        "llama",
        '{"name": "fs-read", "parameters": {"path": "a"}}; {"name": "get.weather", "parameters": {"city": "Rome"}}',
        [call("fs-read", path="a"), call("get.weather", city="Rome")],
    ),
    ("llama", '<|python_tag|>fs-read.call(path="a")<|eom_id|>', [call("fs-read", path="a")]),
    (
        "llama",
        '[get.weather(city="Rome"), fs-read(path="a")]',
        [call("get.weather", city="Rome"), call("fs-read", path="a")],
    ),
    ("llama", '<function=fs-read>{"path": "a"}</function>', [call("fs-read", path="a")]),
    ("llama", '{"answer": 4}', [("text", '{"answer": 4}')]),
    (
        "gpt-oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.fs-read <|constrain|>json<|message|>"
        '{"path": "a<|end|>b"}<|call|>',
        [("thought", "hm"), ("text", "I look."), call("fs-read", path="a<|end|>b")],
    ),
    (
        "gpt-oss",
        ' to=functions.get.weather<|channel|>commentary json<|message|>{"city": "Rome"}',
        [call("get.weather", city="Rome")],
    ),
    (
        "gpt-oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>",
        [("thought", "hm"), ("text", "Paris")],
    ),
    (
        "command",
        '<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[{"tool_call_id": "0", "tool_name": "fs-read", '
        '"parameters": {"path": "a"}}]<|END_ACTION|>',
        [("thought", "hm"), call("fs-read", path="a")],
    ),
    ("nemotron", '<TOOLCALL>[{"name": "fs-read", "arguments": {}}]</TOOLCALL>', [call("fs-read")]),
    ("granite", '<|tool_call|>[{"name": "fs-read", "arguments": {}}]', [call("fs-read")]),
    (
        "olmo",
        '<function_calls>\nfs-read(path="a")\nget.weather(city="Rome")\n</function_calls>',
        [call("fs-read", path="a"), call("get.weather", city="Rome")],
    ),
]


@pytest.mark.parametrize("step", [1, 2, 5, 10_000])
@pytest.mark.parametrize(
    ("family", "text", "pieces"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_calls_and_thoughts_are_read_as_the_family_writes_them(
    family: str, text: str, pieces: list[Any], step: int
):
    assert read(choose_format(TEMPLATES[family], ()), text, step=step) == pieces


K3 = ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (
            K3,
            '<|open|>response<|sep|>Now.<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="fs-read" index="1"'
            '<|sep|><|open|>argument key="path" type="string"<|sep|>a<|close|>argument<|sep|><|close|>call<|sep|>'
            "<|close|>tools<|sep|><|close|>message<|sep|>",
        ),
        (
            K3,
            'Now.<|open|>tools<|sep|><|open|>call tool="fs-read" index="1"<|sep|><|open|>json type="object"<|sep|>'
            '{"path": "a"}<|close|>json<|sep|><|close|>call<|sep|><|close|>tools<|sep|>',
        ),
        (
            ("<|tool_call_start|>", "<|tool_call_end|>"),
            "Now.<|tool_call_start|>[fs-read(path='a')]<|tool_call_end|>",
        ),
    ],
    ids=["kimi k3", "kimi k3 with one object", "lfm2.5 whose template names no mark"],
)
def test_a_family_is_told_by_its_tokens_where_its_template_does_not(tokens: tuple[str, ...], text: str):
    assert read(choose_format("", tokens), text) == [("text", "Now."), call("fs-read", path="a")]


@pytest.mark.parametrize(
    ("family", "text", "pieces"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)]
)
def test_no_control_token_is_shown_without_tools_or_when_cut(family: str, text: str, pieces: list[Any]):
    """Cut anywhere, and without a tool that could be called."""
    form = choose_format(TEMPLATES[family], ())
    hidden = [mark for mark in form.hidden if mark not in json.dumps(pieces)]

    for length in range(len(text) + 1):
        for offers in (True, False):
            shown = "".join(
                piece[1] for piece in read(form, text[:length], offers=offers, step=7) if piece[0] != "call"
            )
            assert [mark for mark in hidden if mark in shown] == []


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "invented", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "read", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "fs-read", "arguments": ["a"]}</tool_call>',
        "<tool_call>not JSON</tool_call>",
        '<tool_call>{"name": "fs-re',
    ],
    ids=["invented", "part of a name", "no object", "no JSON", "cut"],
)
def test_what_is_no_call_of_an_offered_tool_is_shown_as_it_was_written(text: str):
    assert read(choose_format(TEMPLATES["hermes"], ()), text) == [("text", text)]


def test_of_two_calls_only_that_of_an_offered_tool_is_one():
    text = '[TOOL_CALLS]invented[ARGS]{"a": 1}[TOOL_CALLS]fs-read[ARGS]{"path": "a"}'

    assert read(choose_format(TEMPLATES["mistral"], ()), text) == [
        ("text", 'invented{"a": 1}'),
        call("fs-read", path="a"),
    ]


def test_a_cut_message_to_a_tool_shows_what_was_said_and_no_header():
    text = '<|channel|>commentary to=functions.fs-read <|constrain|>json<|message|>{"path": "a'

    assert read(choose_format(TEMPLATES["gpt-oss"], ()), text) == [("text", '{"path": "a')]
    assert read(choose_format(TEMPLATES["gpt-oss"], ()), text[:30]) == []


@pytest.mark.parametrize(
    ("written", "schema", "value"),
    [
        ("5", {"type": "integer"}, 5),
        ("5.0", {"type": "integer"}, 5),
        ("5.5", {"type": "integer"}, "5.5"),
        ("five", {"type": "number"}, "five"),
        ("true", {"type": "boolean"}, True),
        ("FALSE", {"type": "boolean"}, False),
        ("null", {"type": "string"}, "null"),
        ("null", {"type": ["string", "null"]}, None),
        ("5", {"type": ["string", "integer"]}, "5"),
        ("{'a': None}", {"type": "object"}, {"a": None}),
        ("[1, 2", {"type": "array"}, "[1, 2"),
        ("NaN", {"type": "number"}, "NaN"),
        ("1e999", {"type": "number"}, "1e999"),
        ("3", {"enum": [1, 2, 3]}, 3),
        ("b", {"enum": ["a", "b"]}, "b"),
        ("3", {"$ref": "#/$defs/N"}, 3),
        ("3", {"$ref": "#/$defs/Loop"}, "3"),
        ("3", {"allOf": [{"$ref": "#/$defs/N"}]}, 3),
        ("3", None, "3"),
        ('{"a": 3}', None, {"a": 3}),
    ],
)
def test_a_value_is_what_its_schema_wants_or_the_text_as_it_is(written: str, schema: Any, value: Any):
    defs = {"N": {"type": "integer"}, "Loop": {"$ref": "#/$defs/Loop"}}
    tools = {"f": {"properties": {"x": schema} if schema is not None else {}, "$defs": defs}}
    form = choose_format(TEMPLATES["qwen3-coder"], ())
    body = f"<function=f>\n<parameter=x>\n{written}\n</parameter>\n</function>"

    ((found),) = form.calls.read(body, tools).calls

    assert found.arguments == {"x": value}
