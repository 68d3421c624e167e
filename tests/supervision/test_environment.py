"""What of a user's environment the programs are given."""

import pytest

from local_ai.supervision.environment import for_programs


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LC_ALL",
        "TMPDIR",
        "OPENBLAS_NUM_THREADS",
        "MLX_MAX_OPS_PER_BUFFER",
        "NCCL_NVLS_ENABLE",
        "HF_HOME",
        "TOKENIZERS_PARALLELISM",
        "HTTPS_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
    ],
)
def test_what_programs_need_is_passed_on(name: str):
    assert for_programs({name: "x"})[name] == "x"


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "HF_TOKEN",
        "HF_API_KEY",
        "LOCAL_AI_SERVER__API_KEYS",
        "SSH_AUTH_SOCK",
        "LD_PRELOAD",
        "PYTHONWARNINGS",
        "PYTHONINSPECT",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "PATHS",
    ],
)
def test_anything_else_is_not(name: str):
    assert name not in for_programs({name: "x"})


def test_the_agent_of_ssh_is_passed_on_where_hosts_are_reached_by_it():
    assert for_programs({"SSH_AUTH_SOCK": "/x"}, uses_ssh=True)["SSH_AUTH_SOCK"] == "/x"


def test_texts_are_utf_8_whatever_the_locale():
    assert for_programs({"PYTHONUTF8": "0"}) == {"PYTHONUTF8": "1", "PYDANTIC_DISABLE_PLUGINS": "1"}
