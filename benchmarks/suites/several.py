"""Two models by turns: the first token with both in memory, and where each question has one loaded anew.

`local-ai, room for one` has a budget that holds either model, so each question unloads the other one;
mlx_lm.server never holds more than one.
"""

from __future__ import annotations

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
    """Ask the two models in turns, one server after the other."""
    folders = [options.folder / "models" / name for name in _NAMES]
    for folder in folders:
        write_model(folder, _SHAPE)
    pairs = 2 if options.quick else 4 * options.rounds
    for who, budget in ((OURS, None), (_ROOM_FOR_ONE, _BUDGET_GB)):
        say(f"several: {who}")
        served = make_ours(options.folder / who.replace(" ", "-"), free_port(), folders[0])
        (served.paths.models_dir / _NAMES[1]).symlink_to(folders[1])
        if budget is not None:
            served.paths.config_file.parent.mkdir(parents=True)
            served.paths.config_file.write_text(f"models.budget = {budget}\n")
        with running(served), httpx.Client(base_url=served.url, timeout=_TIMEOUT_S) as client:
            _measure(samples, who, client, list(_NAMES), pairs)
    say(f"several: {MLX_LM}")
    with mlx_lm_server(folders[0]) as client:
        _measure(samples, MLX_LM, client, [str(folder) for folder in folders], pairs)


def _measure(samples: Samples, who: str, client: httpx.Client, models: list[str], pairs: int) -> None:
    servers = [Server(who, client, model, _CHAT) for model in models]
    for server in servers:
        server.chat(_QUESTION, 1)
    for _ in range(pairs):
        for server in servers:
            samples.add(_FIRST, who, server.first_token_s(_QUESTION))
            samples.add(_AGAIN, who, server.first_token_s(_QUESTION))
