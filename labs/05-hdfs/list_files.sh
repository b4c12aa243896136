#!/usr/bin/env bash
# TODO 1: this lists the top folder of HDFS. List /tmp/, as the report does, and the files in the two folders that the
# Spark jobs write.
hadoop fs -ls /
