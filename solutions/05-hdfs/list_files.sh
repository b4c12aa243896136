#!/usr/bin/env bash
# The two folders that the Spark jobs write, and the files in them: rights, replication, owner, group, bytes, date, path.
hadoop fs -ls /tmp/
hadoop fs -ls /tmp/guild_joins /tmp/sword_purchases
