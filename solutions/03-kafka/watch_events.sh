#!/usr/bin/env bash
# Watch the topic `events`: first what came before (-o beginning), then each new event as it arrives.
# Without -e it does not end at the last event but waits for the next one; Ctrl-C stops it.
exec kafkacat -C -b "${KAFKA_BOOTSTRAP_SERVERS:-kafka:29092}" -t events -o beginning
