"""A conversation that grows: time to the first word by turn, through the gateway and from the engine alone.

    uv run python benchmarks/conversation.py [--api chat|messages|responses] [--turns 8] [--unread] [--json]
    uv run python benchmarks/conversation.py --reuse [--json]

With the starter model, in folders of its own. Each turn sends the whole conversation (with `responses`: its
new turn, and the id of the one before), and says how many of its tokens the engine remembered. `--unread`
asks each turn again with another first word, so that nothing is remembered: what a turn would cost otherwise.
`--reuse` prints instead how many tokens are remembered, beside mlx_lm.server, for each class of cache.
Read the ratios: the seconds are this machine's.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from local_ai.models.starter import prepare_starter
from local_ai.settings.state import State, make_state

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engine.running import RunningEngine, running_engine
from tests.gateway.running import running_gateway, wait_for_answer

from benchmarks.clock import say
from benchmarks.reuse import as_table, measure

_MODEL = "SmolLM2-135M-Instruct"
_ANSWER_TOKENS = 24
_LINE = "Chapter {n}: the river {n} joins the sea near the town of number {n}, where boats wait. "
_PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/anthropic/v1/messages",
    "responses": "/v1/responses",
}


@dataclass(frozen=True)
class Turn:
    """What one turn cost."""

    first_s: float  # until the first word
    prompt: int  # tokens
    cached: int  # of them, remembered
    text: str
    id: str  # of the response, "" in the other APIs


class Conversation:
    """One conversation, of its own beginning."""

    def __init__(self, client: httpx.Client, api: str, name: str, lines: int) -> None:
        self._client = client
        self._api = api
        self._beginning = f"{name}. " + "".join(_LINE.format(n=n) for n in range(lines))
        self._messages: list[dict[str, str]] = []
        self._previous = ""

    def ask(self, text: str) -> Turn:
        """Take the next turn."""
        said = text if self._messages else self._beginning + text
        self._messages.append({"role": "user", "content": said})
        turn = self._send(self._messages[-1:] if self._previous else self._messages)
        self._messages.append({"role": "assistant", "content": turn.text})
        self._previous = turn.id
        return turn

    def ask_unread(self, number: int) -> Turn:
        """Send the last turn again, as a conversation that begins otherwise."""
        first = self._messages[0] | {"content": f"Unread {number} {self._messages[0]['content']}"}
        previous, self._previous = self._previous, ""
        turn = self._send([first, *self._messages[1:-1]])
        self._previous = previous
        return turn

    def _send(self, messages: list[dict[str, str]]) -> Turn:
        began, first, text, name = time.perf_counter(), 0.0, "", ""
        usage: dict[str, Any] = {}
        with self._client.stream("POST", _PATHS[self._api], json=self._body(messages)) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                word = _word(event)
                first = first or (time.perf_counter() - began if word else 0.0)
                text += word
                usage |= event.get("usage") or event.get("message", {}).get("usage") or {}
                usage |= event.get("response", {}).get("usage") or {}
                name = event.get("response", {}).get("id", name)
        prompt, cached = _count(usage)
        return Turn(first, prompt, cached, text, name)

    def _body(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": _MODEL, "stream": True, "temperature": 0}
        if self._api == "responses":
            previous = {"previous_response_id": self._previous} if self._previous else {}
            return body | previous | {"input": messages, "max_output_tokens": _ANSWER_TOKENS}
        if self._api == "chat":
            body["stream_options"] = {"include_usage": True}
        return body | {"messages": messages, "max_tokens": _ANSWER_TOKENS}


def _word(event: dict[str, Any]) -> str:
    """The text that an event of any of the APIs adds."""
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    if event.get("type") == "content_block_delta":
        return str(event["delta"].get("text", ""))
    choices = event.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


def _count(usage: dict[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt, and those remembered, as each API counts them."""
    if "cache_read_input_tokens" in usage:
        cached = usage["cache_read_input_tokens"]
        return usage["input_tokens"] + cached, cached
    if "input_tokens" in usage:
        return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.reuse:
        found = []
        for reused in measure():
            say(str(reused))
            found.append(reused)
        print(json.dumps([asdict(each) for each in found]) if options.json else as_table(found))
        return
    with ExitStack() as stack:
        engine = stack.enter_context(running_engine(lambda folder: _fill(folder)))
        state = _state_for(engine)
        url = f"http://127.0.0.1:{state.settings.server.port}"
        stack.enter_context(running_gateway(state))
        wait_for_answer(url)
        direct = stack.enter_context(engine.client)
        through = stack.enter_context(httpx.Client(base_url=url, timeout=600))
        alone = Conversation(direct, options.api, "Alone", options.lines)
        gateway = Conversation(through, options.api, "Gateway", options.lines)
        rows = []
        for number in range(options.turns):
            question = f"In one sentence, what of chapter {number}?"
            row = {"turn": number + 1, "gateway": gateway.ask(question), "engine": alone.ask(question)}
            if options.unread:
                row["unread"] = alone.ask_unread(number)
            rows.append(row)
    _print(rows, as_json=options.json)


def _fill(folder: Path) -> None:
    prepare_starter(folder)


def _state_for(engine: RunningEngine) -> State:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    from local_ai.settings.schema import LocalAISettings

    return make_state(LocalAISettings.model_validate({"server": {"port": port}}), engine.paths)


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        shown = [
            {key: asdict(value) if isinstance(value, Turn) else value for key, value in row.items()}
            for row in rows
        ]
        print(json.dumps(shown))
        return
    print(f"{'':6}{'first word, s':^30}{'gateway: tokens':^30}{'engine: tokens':^20}")
    print(f"{'turn':6}{'gateway':>10}{'engine':>10}{'unread':>10}", end="")
    print(f"{'prompt':>10}{'cached':>10}{'read':>10}{'prompt':>10}{'cached':>10}")
    for row in rows:
        gateway, engine, unread = row["gateway"], row["engine"], row.get("unread")
        cold = f"{unread.first_s:.2f}" if unread else "–"
        print(f"{row['turn']:<6}{gateway.first_s:>10.2f}{engine.first_s:>10.2f}{cold:>10}", end="")
        print(f"{gateway.prompt:>10}{gateway.cached:>10}{gateway.prompt - gateway.cached:>10}", end="")
        print(f"{engine.prompt:>10}{engine.cached:>10}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--api", choices=tuple(_PATHS), default="chat", help="which API is spoken")
    parser.add_argument("--turns", type=int, default=8, help="turns of each conversation")
    parser.add_argument("--lines", type=int, default=30, help="lines of text the conversation begins with")
    parser.add_argument("--unread", action="store_true", help="measure each turn without memory as well")
    parser.add_argument("--reuse", action="store_true", help="count remembered tokens beside mlx_lm.server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
