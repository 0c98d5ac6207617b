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

A broker that is durable subclasses `DurableBrokerConformance` instead, and overrides `reopen`. The
kit uses topics with names of its own, so a shared server will do. It assumes at-least-once
delivery: nothing may be lost or overtake, and a message may come twice where its consumer went
away.
"""

from nexxus.testing.broker_kit.consumers import ConsumersConformance
from nexxus.testing.broker_kit.groups import EncodingConformance, GroupsConformance
from nexxus.testing.broker_kit.mailboxes import MailboxesConformance
from nexxus.testing.broker_kit.opening import OpeningConformance, RestartConformance
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


class DurableBrokerConformance(BrokerConformance, EncodingConformance, RestartConformance):
    """What a broker promises besides that outlives the process."""


__all__ = ["BrokerConformance", "DurableBrokerConformance"]
