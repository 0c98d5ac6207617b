"""References to environment variables, ``${env:NAME}``; ``config_provider.py`` is its face."""
