"""The families' own SDKs, for modules whose `server` lasts as long as the module."""

from __future__ import annotations

import anthropic
import openai
import pytest
from tests.server import Server


@pytest.fixture(scope="module")
def openai_client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0)


@pytest.fixture(scope="module")
def anthropic_client(server: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{server.url}/anthropic", api_key="local", max_retries=0)
