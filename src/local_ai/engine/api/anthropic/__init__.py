"""Anthropic's dialect: /anthropic/v1/messages and its count_tokens.

Source: https://docs.anthropic.com/en/api/messages and …/build-with-claude/streaming
"""
