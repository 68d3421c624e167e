"""The public listener: sockets, HTTP/1.1 and its bounds."""
