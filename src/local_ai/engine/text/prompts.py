"""Writes a request as the tokens a model reads, and the job to generate from them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from local_ai.engine.core.job import Job
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.vision.picture_tokens import PromptPicture
from local_ai.engine.core.vision.prompt_eyes import PromptEyes, PromptInputs
from local_ai.engine.errors import bad_field, first_line
from local_ai.engine.formats.format import Format
from local_ai.engine.templating.process import TemplateStopped
from local_ai.engine.text.branches import branch_places, token_places
from local_ai.engine.text.conversation import Ask, Message, joined
from local_ai.engine.text.grammars import make_grammar
from local_ai.engine.text.picture_places import hidden, place, show, show_in_prompt
from local_ai.engine.text.tools import as_function, describe_plainly
from local_ai.serving.errors import ApiError, ContextLengthError

_SHORT_ID = 9
_CLIENT_HEADER = re.compile(
    r"\A\s*(?:x-(?:anthropic-[\w-]+|(?:\w+-)+header):[^\n]*(?:\n\s*|\Z))+", re.ASCII | re.IGNORECASE
)
_PICTURE = {"type": "image"}  # as templates call it in a list of parts
_PROBE = "\N{REFERENCE MARK}"
MOST_TOKENS = 1_000_000  # of an answer, where the model states no context
# Of a text that may be too long, the first part that is tokenised: this many characters for each token of the
# context, at least so many characters; it is too long where that has so much more tokens than the context.
_PART_CHARACTERS = 6
_LEAST_PART = 100_000
_PART_MARGIN = 1.25
_MOST_AT_ONCE = 1_000_000  # characters that are tokenised in one go: about a second


@dataclass(frozen=True)
class Prepared:
    """A job ready to run, and how its answer is to be read."""

    job: Job
    forced_call: bool  # the answer's text is one call, as JSON


def prepare(ask: Ask, words: ModelWords, *, names: FieldNames) -> Prepared:
    """Write the prompt, check it against the context, and compile what constrains the answer.

    Takes time that grows with the prompt: not for the event loop.

    Raises:
        ApiError: 400, naming the field: too long, no template, a schema that cannot be kept to.
    """
    written = _write(ask, words, names)
    forced_call = ask.tool_choice.kind in ("required", "named")
    in_thought = bool(words.thought) and _ends_in_thought(written.text, words)
    return Prepared(
        Job(
            model=words.key,
            prompt=tuple(written.tokens),
            max_tokens=_bound(ask, len(written.tokens), words, names),
            sampling=ask.sampling,
            grammar=make_grammar(
                ask, words, in_thought=in_thought, schema_field=names.schema, tools_field=names.tools
            ),
            logprobs=ask.logprobs,
            thought_tokens=ask.thinking.max_tokens,
            in_thought=in_thought,
            pictures=written.pictures,
            inputs=written.inputs,
            branches=written.branches,
        ),
        forced_call=forced_call,
    )


def count_tokens(ask: Ask, words: ModelWords, *, names: FieldNames) -> int:
    """Count a prompt's tokens, whatever the context holds: clients ask it in order to know.

    Raises:
        ApiError: 400, naming the field: no template, or one that refuses the messages.
    """
    text, _ = _apply_template(ask, words, names)
    if ask.pictures and isinstance(words.eyes, PromptEyes):
        return len(show_in_prompt(text, ask.pictures, words, names.messages).tokens)
    if ask.pictures:
        text = show(text, ask.pictures, words, names.messages).text
    return sum(words.count(part) for part in _parts(text))


@dataclass(frozen=True)
class FieldNames:
    """A dialect's names of the fields that an error may name."""

    messages: str = "messages"
    schema: str = "response_format"
    tools: str = "tools"


@dataclass(frozen=True)
class _Written:
    """A prompt."""

    text: str  # "" where it came as tokens
    tokens: list[int]
    branches: tuple[int, ...] = ()  # in tokens
    pictures: tuple[PromptPicture, ...] = ()
    inputs: PromptInputs | None = None


def _write(ask: Ask, words: ModelWords, names: FieldNames) -> _Written:
    if ask.prompt is not None:
        if isinstance(ask.prompt, tuple):
            _check_tokens(ask.prompt, words, names)
            return _Written("", list(ask.prompt))
        tokens = _encode(ask.prompt, words, names, special=True)
        return _Written(ask.prompt, _readable(tokens or words.encode(" "), words, names))
    _check_length(sum(len(message.text) for message in ask.messages), words, names)
    text, places = _apply_template(ask, words, names)
    if ask.pictures and isinstance(words.eyes, PromptEyes):
        _readable(_encode(text, words, names), words, names)
        inputs = show_in_prompt(text, ask.pictures, words, names.messages)
        return _Written(text, list(inputs.tokens), inputs=inputs)
    shown = show(text, ask.pictures, words, names.messages) if ask.pictures else None
    if shown is not None:
        text, places = shown.text, [shown.moved(each) for each in places]
    tokens = _readable(_encode(text, words, names), words, names)
    if not tokens:
        raise bad_field(
            names.messages,
            f"the chat template of {words.key.id!r} makes an empty prompt of them",
            "take another model, or download this one again",
        )
    branches = token_places(words, text, tokens, places)
    if shown is None:
        return _Written(text, tokens, branches)
    tokens, pictures = place(shown, tokens, words, names.messages)
    return _Written(text, tokens, branches, pictures)


def _encode(text: str, words: ModelWords, names: FieldNames, *, special: bool = False) -> list[int]:
    """Tokenise a prompt; a text far above the context is refused by its length, or by a part of it.

    Tokenising takes about a second a megabyte. A part may end within a word, so it counts with a margin.
    """
    context = words.context_tokens
    if context is not None:
        _check_length(len(text), words, names)
        part = max(context * _PART_CHARACTERS, _LEAST_PART)
        while part * 2 < len(text):
            tokens = words.count(text[:part])
            if tokens > context * _PART_MARGIN:
                raise _too_long(tokens, words, names, context, or_more=True)
            part *= 4
    return words.encode(text, special=special)


def _check_length(characters: int, words: ModelWords, names: FieldNames) -> None:
    """Refuse a text whose tokens cannot be so few that the context holds them."""
    context = words.context_tokens
    if context is None or words.longest_token is None:
        return
    if (least := characters // words.longest_token) > context:
        raise _too_long(least, words, names, context, or_more=True)


def _parts(text: str) -> Iterator[str]:
    """Cut a text between words, where it has any: a thread can be interrupted between two parts only."""
    begin = 0
    while begin < len(text):
        end = begin + _MOST_AT_ONCE
        if end < len(text):
            space = max(text.rfind(" ", begin + 1, end), text.rfind("\n", begin + 1, end))
            end = space if space > begin else end
        yield text[begin:end]
        begin = end


def _readable(tokens: list[int], words: ModelWords, names: FieldNames) -> list[int]:
    """Refuse a text whose tokens the model has no embeddings for: its tokenizer knows more than it does."""
    rows = words.embedding_rows
    if rows is not None and tokens and max(tokens) >= rows:
        raise bad_field(
            names.messages,
            f"the tokenizer of {words.key.id!r} makes token {max(tokens)} of a part of it "
            f"({words.decode([max(tokens)])!r}), but the model can read only the first {rows}",
            "leave that part out, or download the model again: its files do not belong together",
        )
    return tokens


def _check_tokens(tokens: tuple[int, ...], words: ModelWords, names: FieldNames) -> None:
    """Refuse tokens that the model does not have: MLX reads past its embeddings, and may die of it."""
    known = min(words.vocabulary_size, words.embedding_rows or words.vocabulary_size)
    for token in tokens:
        if not 0 <= token < known:
            raise bad_field(
                names.messages,
                f"there is no token {str(token)[:40]} in the vocabulary of {words.key.id!r}, "
                f"which has {known}",
                "send the text, or the ids that this model's tokenizer makes of it",
            )


def _apply_template(ask: Ask, words: ModelWords, names: FieldNames) -> tuple[str, list[int]]:
    """Write a chat as text, and find where in it others may branch off, in characters."""
    if not words.has_template:
        raise ApiError(
            f"the model {words.key.id!r} cannot chat",
            why="it has no chat template, so it is made to continue a text",
            fix="use /v1/completions, or take a model whose name says instruct, it or chat",
            param="model",
        )
    shown = ask.tools if ask.tool_choice.kind != "none" else ()
    messages = _without_client_header(ask.messages)
    if shown and not words.format.knows_tools:
        told, shown = Message("system", describe_plainly(shown)), ()
        has_system = messages and messages[0].role == "system"
        messages = (joined(messages[0], told), *messages[1:]) if has_system else (told, *messages)
    options: dict[str, Any] = dict(ask.template_options)
    if words.thought and ask.thinking.wanted is not None:
        options.setdefault("enable_thinking", ask.thinking.wanted)
    if ask.thinking.effort is not None:
        options.setdefault("reasoning_effort", ask.thinking.effort)

    # Templates of models that see take a content's parts; others may know texts alone.
    in_parts = ask.has_pictures or _takes_parts_alone(words)
    eyes = words.eyes if ask.pictures else None
    picture = eyes.picture if isinstance(eyes, PromptEyes) else _PICTURE

    def write(
        messages: Sequence[Message], *, as_text: bool = False, begins: bool = False, continues: bool = False
    ) -> str:
        return str(
            words.tokenizer.apply_chat_template(
                hidden(
                    [
                        _as_template_message(
                            message, words.format, as_text=as_text, in_parts=in_parts, picture=picture
                        )
                        for message in messages
                    ],
                    eyes,
                ),
                tools=hidden([as_function(tool) for tool in shown] or None, eyes),
                add_generation_prompt=begins,
                continue_final_message=continues,
                tokenize=False,
                **options,
            )
        )

    def prompt(messages: Sequence[Message], *, as_text: bool) -> tuple[str, list[int]]:
        text = write(messages, as_text=as_text, begins=not ask.continues_last, continues=ask.continues_last)
        if not words.keeps_branches:
            return text, []
        return text, branch_places(partial(write, as_text=as_text), messages, text)

    attempts: list[tuple[tuple[Message, ...], bool]] = [(messages, False)]
    attempts += [(mild, False)] if (mild := _later_system_as_user(messages)) != messages else []
    # Most templates walk through a call's arguments; DeepSeek's join them to a text.
    attempts += [(mild, True)] if any(message.calls for message in messages) else []
    try:
        for attempt, as_text in attempts[:-1]:
            try:
                return prompt(attempt, as_text=as_text)
            except TemplateStopped:
                raise
            except Exception:  # the next may be taken
                continue
        return prompt(attempts[-1][0], as_text=attempts[-1][1])
    except TemplateStopped as exc:
        raise bad_field(
            names.messages,
            f"the chat template of {words.key.id!r} was stopped: {exc}",
            "shorten them, or take another model: one whose template needs that much cannot be used",
        ) from exc
    except Exception as exc:  # templates are programs: they raise what they like
        raise bad_field(
            names.messages,
            f"the chat template of {words.key.id!r} refuses them: {first_line(exc)}",
            "change the order of roles, or take another model",
        ) from exc


def _takes_parts_alone(words: ModelWords) -> bool:
    """True if the chat template writes nothing of a content that is a text, as that of SmolVLM does."""
    template = getattr(words.tokenizer, "chat_template", None)
    if not isinstance(template, str) or "image" not in template:
        return False
    try:
        probe = words.tokenizer.apply_chat_template([{"role": "user", "content": _PROBE}], tokenize=False)
    except TemplateStopped:
        raise
    except Exception:  # it walks through parts, or refuses the role: then either is as good
        return True
    return _PROBE not in probe


def _without_client_header(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Leave out lines that a client puts before its system text for its own server.

    They change with each request, so that nothing after them could be remembered, and say nothing to a model.

    Source: Claude Code 2.1 sends a leading block "x-anthropic-billing-header: cc_version=…; cch=…;".
    """
    if not messages or messages[0].role != "system" or messages[0].has_pictures:
        return messages
    text = _CLIENT_HEADER.sub("", messages[0].text)
    if text == messages[0].text:
        return messages
    return (replace(messages[0], text=text), *messages[1:]) if text else messages[1:] or messages


def _later_system_as_user(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Let the user say what the system says in mid-conversation: agents send that, many templates refuse it.

    It joins its neighbour where that is the user's, for such templates want turns to alternate, too.
    """
    written: list[Message] = list(messages[:1])
    was_system = False  # the last one written
    for message in messages[1:]:
        is_system = message.role == "system"
        message = replace(message, role="user") if is_system else message
        if written[-1].role == message.role == "user" and (is_system or was_system):
            written[-1] = joined(written[-1], message)
        else:
            written.append(message)
        was_system = is_system
    return tuple(written)


def _as_template_message(
    message: Message,
    form: Format,
    *,
    as_text: bool,
    in_parts: bool = False,
    picture: str | dict[str, str] = _PICTURE,
) -> dict[str, Any]:
    """Write a turn as templates expect it.

    Args:
        as_text: Whether a call's arguments are the text of an object, or the object.
        in_parts: Whether a content is a list of its texts and pictures.
        picture: Stands for each: in a content that is a text, or as a part of a list.
    """
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.thought:
        written["reasoning_content"] = message.thought
    if message.thought and form.channels and not (message.calls and message.text):
        written["thinking"] = message.thought  # gpt-oss' word for it; beside a text and calls it refuses one
    if message.call_id:
        written["tool_call_id"] = _call_id(message.call_id, form)
    if message.calls and not form.knows_tools:
        calls = (f'{{"name": {json.dumps(c.name)}, "arguments": {c.arguments}}}' for c in message.calls)
        written["content"] = "\n".join(
            [message.text, *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)]
        ).lstrip("\n")
    elif message.calls:
        written["tool_calls"] = [
            {
                "id": _call_id(call.id, form),
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": call.arguments if as_text else json.loads(call.arguments),
                },
            }
            for call in message.calls
        ]
    if isinstance(picture, str):
        if message.has_pictures:
            written["content"] = "".join(part if isinstance(part, str) else picture for part in message.parts)
    elif in_parts:
        written["content"] = _parts_of(message, written["content"], picture)
    return written


def _parts_of(message: Message, text: str, picture: dict[str, str]) -> list[dict[str, str]]:
    """Write a content as its parts; a picture's own embeddings come later, where the template puts a mark."""
    if not message.has_pictures:
        return [_text_part(text)]
    return [_text_part(part) if isinstance(part, str) else picture for part in message.parts]


def _text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text, "content": text}  # InternVL's template has its own name for it


def _call_id(call_id: str, form: Format) -> str:
    """Write a call's id as the template takes it: Mistral's refuses any but nine letters or digits."""
    if not form.calls.short_ids or (len(call_id) == _SHORT_ID and call_id.isalnum()):
        return call_id
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:_SHORT_ID]


def _ends_in_thought(text: str, words: ModelWords) -> bool:
    assert words.thought
    start, end = words.thought.start, words.thought.end
    return text.rstrip().endswith(start) and text.rfind(start) > text.rfind(end)


def _bound(ask: Ask, prompt_tokens: int, words: ModelWords, names: FieldNames) -> int:
    """Find the most tokens the answer may have: as asked for, or what the context leaves where that is less.

    Many clients ask for 32,000 whatever the model's context is (opencode, the AI SDK).
    """
    context = words.context_tokens
    wanted = ask.limits.max_tokens
    if context is None:
        return min(wanted or MOST_TOKENS, MOST_TOKENS)
    left = context - prompt_tokens
    if left < 1:
        raise _too_long(prompt_tokens, words, names, context)
    return left if wanted is None else min(wanted, left)


def _too_long(
    tokens: int, words: ModelWords, names: FieldNames, context: int, *, or_more: bool = False
) -> ContextLengthError:
    count = f"at least {tokens}" if or_more else f"{tokens}"
    return ContextLengthError(
        names.messages,
        f"the prompt has {count} tokens and the context of {words.key.id!r} holds {context}",
        "shorten it, or take a model with a larger context",
        prompt=tokens,
        context=context,
    )
