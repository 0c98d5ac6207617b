"""The settings of the configuration provider."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class SecretFilesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``[plugins.secret-files]``."""

    folder: Annotated[
        str,
        Meta(min_length=1, description="The folder with the files; it may have folders in it."),
    ] = "/run/secrets"
    interval: Annotated[
        float,
        Meta(gt=0, description="Seconds between two looks at the files for changes."),
    ] = 10.0
