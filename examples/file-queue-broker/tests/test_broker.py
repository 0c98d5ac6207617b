"""The broker keeps what every durable broker promises to one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from nexxus.testing.broker_kit import BrokerOptions, OpenBroker, StoredBrokerConformance
from nexxus.testing.journal import Journal
from nexxus_file_queue.broker import FileQueueBroker
from nexxus_file_queue.settings import FileQueueSettings


def create(folder: Path, options: BrokerOptions) -> FileQueueBroker:
    settings = FileQueueSettings(queue_limit=options.queue_limit or 100_000)
    return FileQueueBroker(settings, data_dir=folder, logger=Journal())


class TestFileQueueBroker(StoredBrokerConformance):
    @pytest.fixture
    def open_broker(self, tmp_path: Path) -> OpenBroker:
        return partial(create, tmp_path)
