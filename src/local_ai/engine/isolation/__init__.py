"""Processes for work on what others have made: memory and time that it takes, it takes from itself only."""
