"""The engine process: holds the models and answers both API families on a private unix socket.

    app ─ openai, anthropic ─ answers ─ core ─ mlx-lm
           (thin dialects)    (prompt, stops,   (one thread that imports,
                               thoughts, tools)  loads and generates)

The dialects turn a request into the core's terms (`terms`) and its events back into their own shapes.
"""
