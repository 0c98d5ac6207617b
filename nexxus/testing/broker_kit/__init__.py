"""The conformance kit for `nexxus.interfaces.broker.Broker`.

**A broker that lives in one process** subclasses `BrokerConformance` in a test module and has a
fixture `broker` that yields an open broker (and closes it afterwards)::

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        async def broker(self):
            broker = MyBroker(MySettings())
            await broker.open()
            yield broker
            await broker.close()

**A durable broker for one process**, such as one in a file, subclasses `StoredBrokerConformance`.
It has a fixture `open_broker` instead, as below.

**A durable broker for several processes** subclasses `DurableBrokerConformance`, which also starts
processes, kills and stalls them. It needs a function that creates a broker in any of them, and a
way to break connections; nothing else::

    def create(url: str, options: BrokerOptions) -> MyBroker:
        settings = MySettings(
            url=url,
            heartbeat=1,  # so that a process that stalls is noticed soon
            max_length=options.queue_limit or 100_000,
            mailbox_life=options.mailbox_life or 60.0,
        )
        return MyBroker(settings, logger=Journal())


    class TestMyBroker(DurableBrokerConformance):
        patience = 60.0  # seconds that a rebalance, or noticing that a process is dead, may take

        @pytest.fixture
        def open_broker(self, my_server):
            self.server = my_server
            return partial(create, my_server.url)

        async def cut_connections(self):
            await self.server.close_all_connections()

`open_broker` is pickled: a function of a module, with arguments that can be pickled (a
`functools.partial`, as above). The other processes import that module, with the `sys.path` of the
tests. What they write to standard error is in the output of the tests. A class attribute
`has_full_queues = False` leaves out the test of a full queue, for a server that does not bound its
queues.

The kit uses topics, groups and mailboxes with names of its own, so a shared server will do. It
assumes at-least-once delivery: nothing may be lost or overtake within its key, and a message may
come twice where its consumer went away. It does not assume that `Received.attempts` counts
deliveries that ended with their process.
"""

from nexxus.testing.broker_kit.connecting import BrokerOptions, OpenBroker
from nexxus.testing.broker_kit.consumers import ConsumersConformance
from nexxus.testing.broker_kit.groups import EncodingConformance, GroupsConformance
from nexxus.testing.broker_kit.mailboxes import MailboxesConformance
from nexxus.testing.broker_kit.opening import OpeningConformance, RestartConformance
from nexxus.testing.broker_kit.processes import ProcessesConformance
from nexxus.testing.broker_kit.publishing import PublishingConformance
from nexxus.testing.broker_kit.settling import SettlingConformance


class BrokerConformance(
    OpeningConformance,
    PublishingConformance,
    GroupsConformance,
    SettlingConformance,
    ConsumersConformance,
    MailboxesConformance,
):
    """What the docstrings of `Broker`, `Consumer` and `Receiver` promise, a test each."""


class StoredBrokerConformance(BrokerConformance, EncodingConformance, RestartConformance):
    """What a durable broker promises in addition, even to a single process."""


class DurableBrokerConformance(StoredBrokerConformance, ProcessesConformance):
    """What a durable broker promises in addition to several processes."""


__all__ = [
    "BrokerConformance",
    "BrokerOptions",
    "DurableBrokerConformance",
    "OpenBroker",
    "StoredBrokerConformance",
]
