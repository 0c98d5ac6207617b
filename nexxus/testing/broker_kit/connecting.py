"""Opening brokers for the kit, in the process of the tests and in others."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import msgspec

from nexxus.interfaces.broker import Broker


class BrokerOptions(msgspec.Struct, frozen=True):
    """What a test needs of a broker beyond the settings that its author chooses.

    `queue_limit` is how many messages a group's queue holds; where it has partitions, each of them.
    `mailbox_life` is how many seconds a mailbox is kept that nobody reads. None leaves it to the
    author.
    """

    queue_limit: int | None = None
    mailbox_life: float | None = None


OpenBroker: TypeAlias = Callable[[BrokerOptions], Broker]
"""Creates a broker of one and the same installation, in whatever process it is called. It must be
picklable: a function of a module, or `functools.partial` of one with picklable arguments."""


async def opened(open_broker: OpenBroker, options: BrokerOptions) -> Broker:
    """Create a broker and open it."""
    broker = open_broker(options)
    await broker.open()
    return broker


def pack(open_broker: OpenBroker, options: BrokerOptions) -> str:
    """Encode what another process needs to open the same broker."""
    module = sys.modules[_function(open_broker).__module__]
    pickled = pickle.dumps((open_broker, options))
    parts = [module.__name__, module.__file__ or "", base64.b64encode(pickled).decode()]
    return msgspec.json.encode(parts).decode()


def unpack(packed: str) -> tuple[OpenBroker, BrokerOptions]:
    """Decode what `pack` returned, in a process with the same `sys.path`."""
    name, file, pickled = msgspec.json.decode(packed, type=list[str])
    try:
        importlib.import_module(name)
    except ImportError:
        # A test module may be one that only its file leads to (``--import-mode=importlib``).
        _load(name, file)
    open_broker, options = pickle.loads(base64.b64decode(pickled))
    return open_broker, options


def _function(open_broker: Any) -> Any:
    return _function(open_broker.func) if isinstance(open_broker, partial) else open_broker


def _load(name: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None, f"{file} is a module"
    assert spec.loader is not None, f"{file} is a module"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
