"""Anthropic's dialect: /anthropic/v1/messages, its count_tokens, /anthropic/v1/models.

Source: https://docs.anthropic.com/en/api/messages and …/build-with-claude/streaming
"""
