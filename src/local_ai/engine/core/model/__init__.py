"""One model in memory: checked, loaded, and its tokenizer; embedding models too."""
