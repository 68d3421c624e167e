"""The families: what each encloses thoughts and calls in, and how its chat template tells it.

Sources: the families' chat templates on the hub, and mlx-lm's tool_parsers, whose names `BY_PARSER` has.
mlx-lm's readers are not used: their patterns miss names with dashes and calls after the first, and cut values
that hold an end mark.
"""

import re
from collections.abc import Container
from dataclasses import replace

from local_ai.engine.formats.format import (
    CallFormat,
    Channels,
    Format,
    IsOpen,
    Kind,
    Marks,
    Opening,
    Read,
    Reading,
    Tools,
)
from local_ai.engine.formats.gemma import gemma_is_open, gemma_reader
from local_ai.engine.formats.json_calls import (
    json_reader,
    read_deepseek,
    read_harmony,
    read_kimi,
    read_llama,
    read_mistral,
)
from local_ai.engine.formats.pythonic import is_open as pythonic_is_open
from local_ai.engine.formats.pythonic import read_pythonic
from local_ai.engine.formats.tagged import Tags
from local_ai.engine.formats.values import ends_in_string


def _between(
    what: str,
    start: str,
    end: str,
    read: Read,
    is_open: IsOpen,
    *more: Opening,
    gap: str = "\n",
    control: tuple[str, ...] = (),
) -> CallFormat:
    """Make a format whose calls are between two marks; where a schema binds the answer, JSON is there.

    Args:
        what: Is between them, for people.
        more: Other marks that begin a call.
        gap: What a constrained answer writes between a mark and the JSON.
    """
    return CallFormat(
        title=f"{what} in {start}",
        openings=(Opening(start, (end,) if end else ()), *more),
        read=read,
        is_open=is_open,
        written=(f'{start}{gap}{{"name": ', ', "arguments": ', f"}}{gap}{end}"),
        control=control,
    )


def _json(start: str, end: str = "") -> CallFormat:
    """Make the format of JSON objects, or a list of them, between two marks."""
    return _between("JSON", start, end, json_reader(start, end), ends_in_string)


def _tagged(tags: Tags, start: str, end: str, *more: Opening, control: tuple[str, ...] = ()) -> CallFormat:
    """Make the format of tags between two marks."""
    return _between("tags", start, end, tags.read, tags.is_open, *more, control=control)


def _gemma(quote: str, start: str, end: str, *control: str) -> CallFormat:
    """Make the format of Gemma's calls, whose texts are between quotes of their own."""
    read, is_open = gemma_reader(quote), gemma_is_open(quote)
    return _between("call:name{…}", start, end, read, is_open, gap="", control=(quote, *control))


def _invoke_tags(prefix: str, *, guesses: bool = False) -> Tags:
    """Make Anthropic's older tags, which several families use with a prefix of their own."""
    at = re.escape(prefix)
    return Tags(
        call=re.compile(rf"<{at}invoke\b[^>]*?\bname=[\"']?(?P<name>[^\"'>]+)[\"']?[^>]*>"),
        call_end=f"</{prefix}invoke>",
        argument=re.compile(
            rf"<{at}parameter\b[^>]*?\bname=[\"']?(?P<name>[^\"'>]+)[\"']?"
            r"(?:\s+string=[\"'](?P<type>true|false)[\"'])?[^>]*>"
        ),
        argument_end=f"</{prefix}parameter>",
        guesses=guesses,
    )


def _key_value_tags(prefix: str) -> Tags:
    """Make GLM's tags: the name, then a key and a value for each argument."""
    return Tags(
        call=re.compile(r"\A\s*(?P<name>[^\s<{\[]+)"),
        call_end="",
        argument=re.compile(
            rf"<{prefix}arg_key>\s*(?P<name>.*?)\s*</{prefix}arg_key>(?:\\n|\s)*<{prefix}arg_value>",
            re.DOTALL,
        ),
        argument_end=f"</{prefix}arg_value>",
        guesses=True,
        trims=False,
    )


_FUNCTION_TAGS = Tags(
    call=re.compile(r"<function=[\"']?(?P<name>[^\"'>\s]+)[\"']?\s*>?"),
    call_end="</function>",
    argument=re.compile(r"<parameter=[\"']?(?P<name>[^\"'>\s]+)[\"']?\s*>"),
    argument_end="</parameter>",
)
_PARAM_TAGS = Tags(
    call=re.compile(r"<function\s+name\s*=\s*[\"']?(?P<name>[^\"'>\s]+)[\"']?\s*>"),
    call_end="</function>",
    argument=re.compile(r"<param\s+name\s*=\s*[\"']?(?P<name>[^\"'>\s]+)[\"']?\s*>"),
    argument_end="</param>",
)
_K3_TAGS = Tags(
    call=re.compile(r"<\|open\|>call\b[^<]*?\btool=\"(?P<name>[^\"]+)\"[^<]*<\|sep\|>"),
    call_end="<|close|>call<|sep|>",
    argument=re.compile(
        r"<\|open\|>argument\s+key=\"(?P<name>[^\"]+)\"(?:\s+type=\"(?P<type>[^\"]*)\")?[^<]*<\|sep\|>"
    ),
    argument_end="<|close|>argument<|sep|>",
    trims=False,
    block=re.compile(r"<\|open\|>json\b[^<]*<\|sep\|>"),
)
_BARE_FUNCTION = Opening("<function=", ("</function>",), keeps=True)  # the mark before it was left out

HERMES = _json("<tool_call>", "</tool_call>")
QWEN_CODER = _tagged(_FUNCTION_TAGS, "<tool_call>", "</tool_call>", _BARE_FUNCTION)
SEED = _tagged(_FUNCTION_TAGS, "<seed:tool_call>", "</seed:tool_call>", _BARE_FUNCTION)
GLM = _tagged(_key_value_tags(""), "<tool_call>", "</tool_call>")
LONGCAT = _tagged(_key_value_tags("longcat_"), "<longcat_tool_call>", "</longcat_tool_call>")
MINIMAX = _tagged(
    _invoke_tags(""),
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    Opening("<invoke name=", ("</invoke>",), keeps=True),
)
MUSE = _tagged(_invoke_tags("atem:", guesses=True), "<atem:function_calls>", "</atem:function_calls>")
DSML = _tagged(
    _invoke_tags("｜DSML｜"),
    "<｜DSML｜function_calls>",
    "</｜DSML｜function_calls>",
    Opening("<｜DSML｜tool_calls>", ("</｜DSML｜tool_calls>",)),
    control=("｜DSML｜",),
)
KIMI_K3 = _tagged(
    _K3_TAGS,
    "<|open|>tools<|sep|>",
    "<|close|>tools<|sep|>",
    control=(
        "<|open|>response<|sep|>",
        "<|close|>response<|sep|>",
        "<|close|>message<|sep|>",
        "<|end_of_msg|>",
    ),
)
MINICPM = CallFormat(
    title="tags in <function name=…>",
    openings=(Opening("<function name=", ("</function>",), keeps=True),),
    read=_PARAM_TAGS.read,
    is_open=_PARAM_TAGS.is_open,
    written=("<function name=", ">", "</function>"),
)
MISTRAL = CallFormat(
    title="name and JSON after [TOOL_CALLS]",
    openings=(Opening("[TOOL_CALLS]"),),
    read=read_mistral,
    is_open=ends_in_string,
    written=("[TOOL_CALLS]", "[ARGS]", ""),
    bare_name=True,
    short_ids=True,
    control=("[ARGS]", "[CALL_ID]", "[/TOOL_CALLS]"),
)
# Its template has no [ARGS]: the older list.
MISTRAL_LIST = replace(
    MISTRAL,
    title="a list of JSON after [TOOL_CALLS]",
    written=('[TOOL_CALLS][{"name": ', ', "arguments": ', "}]"),
    bare_name=False,
)
DEEPSEEK = CallFormat(
    title="name and JSON in <｜tool▁calls▁begin｜>",
    openings=(
        Opening("<｜tool▁calls▁begin｜>", ("<｜tool▁calls▁end｜>",)),
        Opening("<｜tool▁call▁begin｜>", ("<｜tool▁call▁end｜>",), keeps=True),
    ),
    read=read_deepseek,
    is_open=ends_in_string,
    written=(
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    bare_name=True,
    control=("<｜tool▁sep｜>",),
)
KIMI_K2 = CallFormat(
    title="name and JSON in <|tool_calls_section_begin|>",
    openings=(
        Opening("<|tool_calls_section_begin|>", ("<|tool_calls_section_end|>",)),
        Opening("<|tool_call_begin|>", ("<|tool_call_end|>",), keeps=True),
    ),
    read=read_kimi,
    is_open=ends_in_string,
    written=(
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.",
        ":0<|tool_call_argument_begin|>",
        "<|tool_call_end|><|tool_calls_section_end|>",
    ),
    bare_name=True,
    control=("<|tool_call_argument_begin|>",),
)
LFM2 = CallFormat(
    title="Python in <|tool_call_start|>",
    openings=(Opening("<|tool_call_start|>", ("<|tool_call_end|>",)),),
    read=read_pythonic,
    is_open=pythonic_is_open,
    written=('<|tool_call_start|>[{"name": ', ', "arguments": ', "}]<|tool_call_end|>"),
    control=("<|tool_list_start|>", "<|tool_list_end|>"),
)
OLMO = _between("Python", "<function_calls>", "</function_calls>", read_pythonic, pythonic_is_open)
GEMMA4 = _gemma('<|"|>', "<|tool_call>", "<tool_call|>", "<|channel>")
FUNCTION_GEMMA = _gemma("<escape>", "<start_function_call>", "<end_function_call>")


def _llama_beginnings(tools: Tools) -> tuple[str, ...]:
    """Texts, without white space, that an answer begins with which is a call and has no mark."""
    objects = ('{"name":', '{"type":"function"', '{"function":', '{"parameters":')
    return (*objects, *("[" + one for one in objects), *(f"[{name}(" for name in tools))


def _read_llama_or_tagged(body: str, tools: Tools) -> Reading:
    return (_FUNCTION_TAGS.read if body.startswith("<function=") else read_llama)(body, tools)


LLAMA = CallFormat(
    title="JSON, alone or after <|python_tag|>",
    openings=(Opening("<|python_tag|>", ("<|eom_id|>", "<|eot_id|>")), _BARE_FUNCTION),
    read=_read_llama_or_tagged,
    is_open=ends_in_string,
    written=('{"name": ', ', "parameters": ', "}"),
    begins_bare=_llama_beginnings,
)
HARMONY = CallFormat(
    title="messages to functions in the commentary channel",
    openings=(),
    read=read_harmony,
    is_open=ends_in_string,
    written=("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", ""),
    bare_name=True,
    control=("<|constrain|>",),
)


def _harmony_kind(header: str) -> Kind:
    if re.search(r"\bto=(?!user\b|assistant\b|all\b)", header):
        return "call"
    return "thought" if re.search(r"(^|>|\s)analysis\b", header) else "text"


def _muse_kind(header: str) -> Kind:
    return "thought" if re.search(r"\bto=self\b", header) else "text"


_HARMONY_CHANNELS = Channels(
    opens=("<|start|>", "<|channel|>"),
    message="<|message|>",
    ends=("<|end|>", "<|call|>", "<|return|>"),
    kind_of=_harmony_kind,
    answer="<|channel|>final<|message|>",
)
_MUSE_CHANNELS = Channels(
    opens=("<|start|>",),
    message="<|message|>",
    ends=("<|eom|>", "<|eot|>"),
    kind_of=_muse_kind,
    answer="to=user<|message|>",
)

THOUGHTS = (
    Marks("<think>", "</think>"),
    Marks("<longcat_think>", "</longcat_think>"),
    Marks("<|think:start|>", "<|think:end|>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("◁think▷", "◁/think▷"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
    Marks("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_GEMMA_THOUGHT = Marks("<|channel>thought", "<channel|>")
_K3_THOUGHT = Marks("<|open|>think<|sep|>", "<|close|>think<|sep|>")
_HARMONY_THOUGHT = Marks("<|channel|>analysis<|message|>", "<|end|>")
_MUSE_THOUGHT = Marks("to=self<|message|>", "<|eom|>")

BY_PARSER = {
    "function_gemma": FUNCTION_GEMMA,
    "gemma4": GEMMA4,
    "glm47": GLM,
    "json_tools": HERMES,
    "kimi_k2": KIMI_K2,
    "kimi_k3": KIMI_K3,
    "laguna": GLM,
    "longcat": LONGCAT,
    "minicpm5": MINICPM,
    "minimax_m2": MINIMAX,
    "mistral": MISTRAL,
    "muse_spark": MUSE,
    "pythonic": LFM2,
    "qwen3_coder": QWEN_CODER,
}
_XTML = ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>")

# The first whose texts a template holds. Those with a prefix of their own come first.
_BY_TEMPLATE: tuple[tuple[tuple[str, ...], CallFormat], ...] = (
    (("<minimax:tool_call>",), MINIMAX),
    (("<|tool_call>", "<tool_call|>"), GEMMA4),
    (("<start_function_call>",), FUNCTION_GEMMA),
    (("<longcat_tool_call>",), LONGCAT),
    (("<atem:function_calls>",), MUSE),
    (("<seed:tool_call>",), SEED),
    (("｜DSML｜",), DSML),
    (("<｜tool▁calls▁begin｜>",), DEEPSEEK),
    (("<arg_key>",), GLM),
    (("<|tool_list_start|>",), LFM2),
    (("<|tool_call_start|>",), LFM2),
    (("<function=", "<tool_call>"), QWEN_CODER),
    (("<|tool_calls_section_begin|>",), KIMI_K2),
    (('<function name="', '<param name="'), MINICPM),
    (("[TOOL_CALLS]", "[ARGS]"), MISTRAL),
    (("[TOOL_CALLS]",), MISTRAL_LIST),
    (("<|START_ACTION|>",), _json("<|START_ACTION|>", "<|END_ACTION|>")),
    (("<|tools_prefix|>",), _json("<|tools_prefix|>", "<|tools_suffix|>")),
    (("<|action_start|>",), _json("<|action_start|><|plugin|>", "<|action_end|>")),
    (("<TOOLCALL>",), _json("<TOOLCALL>", "</TOOLCALL>")),
    (("<tool_calls>",), _json("<tool_calls>", "</tool_calls>")),
    (("<|tool_call|>", "<|/tool_call|>"), _json("<|tool_call|>", "<|/tool_call|>")),
    (("<|tool_call|>",), _json("<|tool_call|>")),
    (("<function_calls>",), OLMO),
    (("<|python_tag|>",), LLAMA),
    (("<|python_start|>",), LLAMA),
    (("<tool_call>",), HERMES),
    (('"parameters": dictionary of argument name',), LLAMA),
)

CALLS = (*dict.fromkeys([*BY_PARSER.values(), *(calls for _, calls in _BY_TEMPLATE), HARMONY]),)


def choose_format(template: str, tokens: Container[str], *, parser: str = "") -> Format:
    """Tell from a chat template and a vocabulary how a model writes thoughts and calls.

    Args:
        template: "" where there is none.
        tokens: The tokenizer's, or those added to it.
        parser: mlx-lm's name for it, for what template and tokens do not tell.
    """

    def has(*texts: str) -> bool:
        return all(text in template for text in texts) or all(text in tokens for text in texts)

    if parser == "muse_spark" or "<atem:function_calls>" in template:
        return Format(_MUSE_THOUGHT, MUSE, channels=_MUSE_CHANNELS)
    if has("<|channel|>", "<|message|>"):
        return Format(_HARMONY_THOUGHT, HARMONY, channels=_HARMONY_CHANNELS)
    if all(token in tokens for token in _XTML):
        return Format(_K3_THOUGHT, KIMI_K3)
    thought = next((marks for marks in THOUGHTS if has(marks.start, marks.end)), None)
    if thought is None and has("<|channel>", "<channel|>"):
        thought = _GEMMA_THOUGHT
    calls = _calls_of(template, tokens) or BY_PARSER.get(parser)
    return Format(thought, calls or HERMES, knows_tools=calls is not None)


def _calls_of(template: str, tokens: Container[str]) -> CallFormat | None:
    for texts, calls in _BY_TEMPLATE:
        if all(text in template for text in texts):
            return calls
    # Conversions that have the tokens and do not name them in their template.
    if "<|tool_call_start|>" in tokens and "<|tool_call_end|>" in tokens:
        return LFM2
    return DSML if "｜DSML｜" in tokens else None
