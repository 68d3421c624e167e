"""What is remembered of prompts, and what memory there is for more."""
