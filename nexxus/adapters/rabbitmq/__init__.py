"""The RabbitMQ broker; ``broker.py`` is its face, ``settings.py`` needs no client library."""
