"""The gateway: the one public listener, which serves the page and forwards the APIs."""
