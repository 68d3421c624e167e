"""The application of the program `omni`: its health, and a router for each part that is installed."""

import dataclasses
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_ai.engine.api.endpoints import FAILURES
from local_ai.engine.health import HealthBoard
from local_ai.engine.omni.fields import Place, place_model
from local_ai.engine.omni.routers import OmniRouters
from local_ai.engine.process.keep_awake import AwakeWhileAnswering, KeepAwake
from local_ai.models.library import find_folder, library_for
from local_ai.models.not_found import model_not_found
from local_ai.settings.state import State, read_state
from local_ai.supervision.omni import PARTS, Part


def make_app(state: State, board: HealthBoard) -> Starlette:
    """Put the application together; a router is imported when it is first called."""
    routers = OmniRouters(board.count_elsewhere)

    async def health(_request: Request) -> Response:
        return JSONResponse(dataclasses.asdict(board.read()))

    place = place_model(lambda name: folder_of(name, state))
    parts = [part for part in PARTS if part.name in state.omni_parts]
    keep_awake = KeepAwake(lambda: _present(state).settings.power.keep_awake)
    return Starlette(
        routes=[
            Route("/health", health),
            *(_route(routers, part, place) for part in parts),
        ],
        exception_handlers=FAILURES,
        middleware=[Middleware(AwakeWhileAnswering, keep_awake=keep_awake)],
    )


def _route(routers: OmniRouters, part: Part, place: Place) -> Route:
    endpoint = partial(routers.call, part.module, path=part.path, place=place)
    return Route(part.path, endpoint, methods=["POST"])


def folder_of(name: str, state: State) -> str:
    """Find the folder of a model by its name or an alias; ApiError (404) where there is none."""
    state = _present(state)
    library = library_for(state.settings, state.paths)
    if folder := find_folder(name, library, state.paths.hub_cache):
        return folder
    raise model_not_found(name, library)


def _present(state: State) -> State:
    return read_state(state.paths.state_file)  # settings may have changed since the start
