"""The transport manager: finds the channels of an event and the nodes with subscribers."""

from nexxus.transport_manager.transport_manager import TransportManager

__all__ = ["TransportManager"]
