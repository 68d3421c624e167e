"""OpenAI's newer dialect: /v1/responses, and the responses it keeps.

Source: https://platform.openai.com/docs/api-reference/responses
"""
