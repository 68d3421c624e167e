"""Two models by turns: the first token with both in memory, and where each question has one loaded anew.

`local-ai, room for one` has a budget that holds either model, so each question unloads the other one;
mlx_lm.server never holds more than one.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.clock import free_port, say
from benchmarks.options import Options
from benchmarks.ours import make_ours, running
from benchmarks.random_model import Shape, write_model
from benchmarks.samples import OURS, Samples, What
from benchmarks.servers import MLX_LM, Server, mlx_lm_server

_CHAT = "/v1/chat/completions"
_ROOM_FOR_ONE = f"{OURS}, room for one"
_FIRST = What("several", "first token, two models by turns", "s", _ROOM_FOR_ONE)
_AGAIN = What("several", "first token, the same model again", "s", _ROOM_FOR_ONE)
_SHAPE = Shape(8, 512, 1536, 8, 4, 32_000, "float32")  # 230 MB
_BUDGET_GB = 0.4
_NAMES = ("first", "second")
_QUESTION = "hello"
_TIMEOUT_S = 300.0


def run(samples: Samples, options: Options) -> None:
    """Ask the two models of all servers in turns."""
    folders = [options.folder / "models" / name for name in _NAMES]
    for folder in folders:
        write_model(folder, _SHAPE)
    with ExitStack() as stack:
        asked = [
            *_ours(stack, options.folder / "both", OURS, folders, None),
            *_ours(stack, options.folder / "one", _ROOM_FOR_ONE, folders, _BUDGET_GB),
        ]
        peer = stack.enter_context(mlx_lm_server(folders[0]))
        asked += [Server(MLX_LM, peer, str(folder), _CHAT) for folder in folders]
        for server in asked:
            server.chat(_QUESTION, 1)
        for number in range(2 if options.quick else 4 * options.rounds):
            say(f"several {number + 1}")
            for server in asked:
                samples.add(_FIRST, server.name, server.first_token_s(_QUESTION))
                samples.add(_AGAIN, server.name, server.first_token_s(_QUESTION))


def _ours(
    stack: ExitStack, home: Path, name: str, folders: list[Path], budget_gb: float | None
) -> list[Server]:
    """Start ours; return one to ask for each model."""
    served = make_ours(home, free_port(), *folders)
    if budget_gb is not None:
        served.paths.config_file.parent.mkdir(parents=True)
        served.paths.config_file.write_text(f"models.budget = {budget_gb}\n")
    stack.enter_context(running(served))
    client = stack.enter_context(httpx.Client(base_url=served.url, timeout=_TIMEOUT_S))
    return [Server(name, client, folder.name, _CHAT) for folder in folders]
