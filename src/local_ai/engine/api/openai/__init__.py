"""OpenAI's dialect: /v1/chat/completions, /v1/completions, /v1/models.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""
