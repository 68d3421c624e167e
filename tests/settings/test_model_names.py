"""A pasted address of the hub is a model's name; anything else stays as it is."""

import pytest

from local_ai.settings.model_names import name_of_address


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://huggingface.co/org/name", "org/name"),
        ("https://huggingface.co/org/name/", "org/name"),
        ("https://huggingface.co/org/name/tree/main", "org/name"),
        ("https://huggingface.co/org/name/tree/v2", "org/name@v2"),
        ("https://huggingface.co/org/name/blob/main/config.json?download=true", "org/name"),
        ("http://hub.example:8000/org/name#readme", "org/name"),
        ("huggingface.co/org/name", "org/name"),
        ("hf.co/org/name", "org/name"),
        ("HTTPS://HuggingFace.co/Org/Name", "Org/Name"),
        ("//huggingface.co/org/name", "org/name"),
        ("<https://huggingface.co/org/name>", "org/name"),
        ("https://huggingface.co/org/name.git", "org/name"),
        ("git@hf.co:org/name.git", "org/name"),
        ("hf://org/name", "org/name"),
        ("https://huggingface.co/api/models/org/name", "org/name"),
        ("https://huggingface.co/org/name/raw/v2/README.md", "org/name@v2"),
        ("https://huggingface.co/datasets/org/name", "https://huggingface.co/datasets/org/name"),
        ("https://huggingface.co/models?search=qwen", "https://huggingface.co/models?search=qwen"),
        ("hf.coop/org/name", "hf.coop/org/name"),
        ("https://github.com/org/name", "https://github.com/org/name"),
        ("https://modelscope.cn/models/org/name", "https://modelscope.cn/models/org/name"),
        ("https://hub.example.evil.example/org/name", "https://hub.example.evil.example/org/name"),
        ("http://[/org/name", "http://[/org/name"),
        ("https://huggingface.co/org", "https://huggingface.co/org"),
        ("org/name", "org/name"),
        ("/a/folder", "/a/folder"),
        (" tiny ", "tiny"),
    ],
)
def test_address_is_taken_as_a_name(text: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example:8000")

    assert name_of_address(text) == name
