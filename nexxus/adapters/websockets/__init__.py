"""WebSockets, on our own ports or over any ASGI server; ``transport.py`` is their face."""
