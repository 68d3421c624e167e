"""From a request's prompt to the pieces of its answer: templates, stops, reasoning, tool calls."""
