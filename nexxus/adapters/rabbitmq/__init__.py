"""The RabbitMQ broker; ``broker.py`` implements the interface."""
