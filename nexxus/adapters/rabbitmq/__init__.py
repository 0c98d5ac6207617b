"""The RabbitMQ broker; ``broker.py`` is its face."""
