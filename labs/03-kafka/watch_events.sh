#!/usr/bin/env bash
# Watch the topic `events`: first what came before, then each new event as it arrives, until Ctrl-C.
# TODO 3: this one shows nothing of what came before, and it ends at once.
exec kafkacat -C -b "${KAFKA_BOOTSTRAP_SERVERS:-kafka:29092}" -t events -o end -e
