"""The transport manager: which channels an event belongs to, which nodes have subscribers."""

from nexxus.transport_manager.transport_manager import TransportManager

__all__ = ["TransportManager"]
