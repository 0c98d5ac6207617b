"""WebSockets, on the raw transport of a port of ours or over somebody else's ASGI server."""

from nexxus.adapters.websockets.transport import WebSocketTransport

__all__ = ["WebSocketTransport"]
