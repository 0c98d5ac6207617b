"""The part that pushes to devices that are away; it runs beside the transport manager."""

from nexxus.push.expansion import Expansion
from nexxus.push.rerouting import Rerouting
from nexxus.push.sender import PushFigures, Sender

__all__ = ["Expansion", "PushFigures", "Rerouting", "Sender"]
