"""Models that see: a picture becomes rows among its prompt's embeddings, and mlx-lm's batch reads them.

The processor turns a picture into places in a prompt (`eyes`), each with a token id of its own beyond the
vocabulary (`picture_tokens`); the tower makes a row of embeddings for each place (`sight`); and a thin module
around the language model looks the rows up where it meets such ids (`seeing_model`).
"""
