"""The page: its files, its texts, and what its templates show."""
