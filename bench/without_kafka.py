"""The game with a producer that confirms each event at once and sends none: what the throughput is compared with."""

import game_api
from game_api import app

__all__ = ["app"]


class Confirmed:
    """The future of an event."""

    def get(self, timeout: float) -> None:
        """At once."""


class Producer:
    """Sends nothing."""

    def send(self, *_: object) -> Confirmed:
        """Confirm the event."""
        return Confirmed()


game_api.producer.close()
game_api.producer = Producer()
