"""A whole server behind the page: real gateway, fake engine, fake supervisord."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.gateway.fakes import FakeSupervisord, Gateway, make_model, make_test_state, run_engine, run_gateway
from tests.waits import scaled
from tests.web.engine import ChatEngine

from local_ai.gateway.context import GatewayContext, make_context
from local_ai.settings.state import State

# The rate is told only where the answer took time.
ANSWER_END = re.compile(
    r"\d+ tokens · ([\d.]+ tokens/s · )?first after [\d.]+ s · (reused \d+ · )?on this machine"
)


@dataclass
class Server:
    """A server whose parts a test can stop and start."""

    state: State
    engine: ChatEngine
    supervisord: FakeSupervisord
    stack: ExitStack
    gateway: Gateway | None = None
    comment_s: float = 5.0  # a waiting stream says so this often

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.state.settings.server.port}"

    def start_gateway(self) -> ExitStack:
        """Start a gateway on the server's port; closing what is returned stops it."""
        part = self.stack.enter_context(ExitStack())
        self.gateway = part.enter_context(run_gateway(self.state, context=self._context()))
        return part

    def _context(self) -> GatewayContext:
        context = make_context(self.state)
        return replace(context, forwarding=replace(context.forwarding, comment_s=self.comment_s))


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Have what is expected of a page come as late as this machine is slow."""
    expect.set_options(timeout=scaled(5_000))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with _run_server(tmp_path, wait_for_engine_s=20) as server:
        yield server


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    """A server that answers one request at a time, its gateway started."""
    with _run_server(tmp_path, wait_for_engine_s=20, max_concurrency=1) as server:
        server.comment_s = 0.1
        server.start_gateway()
        yield server


@contextmanager
def _run_server(root: Path, **gateway: int) -> Iterator[Server]:
    state = make_test_state(root, gateway=gateway)
    make_model(state.paths.models_dir / "tiny", created=1_700_000_009)
    for name in ("calls", "endless", "crash", "nope"):
        make_model(state.paths.models_dir / name)
    for program in ("mlx-omni-server", "welcome-page", "supervisord"):
        state.paths.log(program).write_text(f"first line of {program}\nsecond line of {program}\n")
    with ExitStack() as stack:
        supervisord = stack.enter_context(FakeSupervisord(state.paths.supervisor_socket).run())
        engine = ChatEngine()
        stack.enter_context(run_engine(engine, state.paths.engine_socket))
        yield Server(state, engine, supervisord, stack)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page, opened; a script's error or a refused request fails the test."""
    server.start_gateway()
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if _is_problem(message.text) else None)
    page.goto(server.url)
    started(page)
    yield page
    context.close()
    assert problems == []


def started(page: Page) -> None:
    """Wait for the page's script, which starts after the first paint, to have taken hold."""
    expect(page.get_by_label("Your message")).to_be_focused()


def _is_problem(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


def answer_of(page: Page) -> Locator:
    return page.locator(".message.assistant").last


def look_at(page: Page, view: str) -> None:
    page.get_by_role("link", name=view, exact=True).click()


def ask(page: Page, text: str) -> None:
    """Ask a question and wait for the end of its answer."""
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")
    expect(answer_of(page).locator(".figures")).to_have_text(ANSWER_END)
