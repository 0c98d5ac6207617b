"""The conformance kit for `nexxus.interfaces.broker.Broker`.

Subclass `BrokerConformance` in a test module and give it a fixture `broker` that yields an open
broker (and closes it afterwards)::

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        async def broker(self):
            broker = MyBroker(settings)
            await broker.open()
            yield broker
            await broker.close()

A durable broker also overrides `reopen`. The kit uses queues with names of its own, so a shared
server will do, and it assumes at-least-once delivery: nothing may be lost or overtake, and a
message may come twice where its consumer went away.
"""

from nexxus.testing.broker_kit.consumers import ConsumersConformance
from nexxus.testing.broker_kit.dead_letters import DeadLettersConformance
from nexxus.testing.broker_kit.nodes import NodesConformance
from nexxus.testing.broker_kit.opening import OpeningConformance, RestartConformance
from nexxus.testing.broker_kit.publishing import PublishingConformance
from nexxus.testing.broker_kit.settling import SettlingConformance


class BrokerConformance(
    OpeningConformance,
    PublishingConformance,
    SettlingConformance,
    DeadLettersConformance,
    ConsumersConformance,
    NodesConformance,
):
    """What the docstrings of `Broker` and `Consumer` promise, a test each."""


class DurableBrokerConformance(BrokerConformance, RestartConformance):
    """What a broker promises besides that outlives the process."""


__all__ = ["BrokerConformance", "DurableBrokerConformance"]
