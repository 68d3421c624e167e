"""The commands: what each does, how its words are parsed, and all that is printed."""
