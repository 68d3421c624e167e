"""OpenAI's dialect: /v1/chat/completions, /v1/completions.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""
