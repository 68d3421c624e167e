"""The engine as a process: its socket, server, environment, BLAS and self-restart."""
