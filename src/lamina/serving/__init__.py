"""The models of this library over HTTP, for clients that exist already and for people with a browser."""

from .app import create_app
from .models import Served
from .settings import Limits, ServeSettings

__all__ = ["Limits", "ServeSettings", "Served", "create_app"]
