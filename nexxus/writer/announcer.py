"""Announces the outcome of operations: to transport managers and workers, to the registry, and to
waiting callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nexxus.cluster.messages import Outcome, Rejection, gateway_mailbox, node_mailbox
from nexxus.cluster.peers import Peers
from nexxus.domain.operations import AnyOperation
from nexxus.interfaces.broker import EVENTS, Broker, Message
from nexxus.interfaces.registry import Registry
from nexxus.writer.judgements import Judgement


class Announcer:
    """Announces judgements once their objects are stored."""

    def __init__(self, *, broker: Broker, registry: Registry, peers: Peers) -> None:
        self._broker = broker
        self._registry = registry
        self._peers = peers

    async def announce(self, done: Sequence[Judgement]) -> None:
        """Publish the events, and store the fates.

        Rejections are stored before anything else can fail: if such an operation were judged again,
        after others have been applied, it might be accepted. The fate of an applied operation also
        says that it was announced.
        """
        fates = [fate for judgement in done for fate in judgement.fates]
        if rejected := [fate for fate in fates if fate.state == "rejected"]:
            await self._registry.fates.put(rejected)
        messages = [
            Message(event.key.partition, event) for judgement in done for event in judgement.events
        ]
        if messages:
            await self._broker.publish(EVENTS, messages)
        await self._registry.fates.put([fate for fate in fates if fate.state == "applied"])

    async def report(self, done: Sequence[Judgement]) -> None:
        """Notify the waiting nodes of the outcomes, and the writing devices of rejections."""
        outcomes = [outcome for judgement in done for outcome in judgement.outcomes]
        if outcomes:
            # Side by side: a broker confirms each one, and a round may have hundreds. All are
            # awaited, also where one fails: none may go on when the writer has ended.
            results = await asyncio.gather(
                *(self._report_one(*outcome) for outcome in outcomes), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def _report_one(self, operation: AnyOperation, outcome: Outcome) -> None:
        if operation.reply_to:
            await self._peers.send(node_mailbox(operation.reply_to), outcome)
        if outcome.error is None or operation.device_id is None:
            return
        app_id = operation.key.app_id
        presence = await self._registry.presence.get(app_id, operation.device_id)
        if presence is not None:
            await self._peers.send(
                gateway_mailbox(presence.transport, presence.node),
                Rejection(app_id, operation.device_id, operation.operation_id, outcome.error),
            )
