"""References to environment variables, ``${env:NAME}``; ``config_provider.py`` implements the
interface."""
