"""What the commands do, apart from how their words were parsed."""
