"""Verbs of ollama, LM Studio, brew and apt that have no command here: what to do instead, in words."""

# By the words: what to do, and the command that ends it, "" for none.
_INSTEAD = {
    "search find lookup discover browse tags": (
        "look for models at https://huggingface.co/mlx-community, then",
        "local-ai models pull ORG/NAME",
    ),
    "update upgrade outdated": (
        "local-ai itself is updated by the program that installed it (uv tool upgrade local-ai, pipx upgrade "
        "local-ai, brew upgrade local-ai); for a newer version of a model",
        "local-ai models pull ORG/NAME",
    ),
    "cp copy mv move rename tag": (
        'another name of a model is an alias: under [aliases] in config.toml write NEW = "NAME", then',
        "local-ai config reload",
    ),
    "push publish upload": ("models are not uploaded from here: the command `hf upload` does it", ""),
    "login signin logout signout": (
        "local-ai has no account. For a model that its makers give only to known users, run `hf auth login`, "
        "or set HF_TOKEN, then",
        "local-ai models pull ORG/NAME",
    ),
    "import": (
        "a model folder is used where it is: put the folder above it into models.paths in config.toml, or",
        "local-ai server start --model FOLDER",
    ),
    "convert quantize quantise": (
        "the command `mlx_lm.convert` of mlx-lm does it; models that are ready are at "
        "https://huggingface.co/mlx-community, for",
        "local-ai models pull ORG/NAME",
    ),
    "train finetune fine-tune": (
        "the command `mlx_lm.lora` of mlx-lm does it; the setting model.adapter_path uses its result",
        "",
    ),
    "cleanup autoremove autoclean clean gc": (
        "local-ai models list shows each model's size; local-ai cache clear removes remembered prompts; one "
        "model goes with",
        "local-ai models remove NAME",
    ),
    "version about": ("", "local-ai --version"),
}
_IN_MODELS = {
    "create make modelfile": (
        'a model\'s own temperature, context and aliases are in its table [models."NAME"] of config.toml; to '
        "write that file",
        "local-ai config init",
    ),
    "run serve start": ("", "local-ai server start --model NAME"),
}
_GROUPS = ("", "models", "server")  # in which these words can mean what they mean elsewhere


def instead_of(group: str, word: str) -> tuple[str, str] | None:
    """Say what to do instead of a verb that is not offered: words and a command; None for others.

    Args:
        group: Before which the word stands, "" for none.
    """
    if group not in _GROUPS:
        return None
    tables = (_IN_MODELS, _INSTEAD) if group == "models" else (_INSTEAD,)
    return next((found for table in tables for words, found in table.items() if word in words.split()), None)
