"""Settings: what can be set (`schema`), and how the four sources are read and merged (`load`)."""
