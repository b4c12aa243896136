"""What the NameNode knows about the data files of the two folders, asked over WebHDFS, as one JSON object.

    {"/tmp/guild_joins": {"files": 3, "bytes": 6123, "replication": 1, "blocks": 3},
     "/tmp/sword_purchases": …}
"""

import json
import os
import sys
from typing import Any

import requests

WEBHDFS = os.environ.get("WEBHDFS_URL", "http://cloudera:9870") + "/webhdfs/v1"
FOLDERS = ["/tmp/guild_joins", "/tmp/sword_purchases"]


def ask(operation: str, path: str) -> Any:
    """The NameNode's answer to one WebHDFS operation."""
    answer = requests.get(WEBHDFS + path, params={"op": operation}, timeout=10)
    answer.raise_for_status()
    return answer.json()


def data_files(folder: str) -> list[dict[str, Any]]:
    """The status of each file that readers see: names with _ or . in front are Spark's own notes."""
    # TODO 2: this is everything in the folder, Spark's notes and folders too. Keep what readers of the table see.
    return list(ask("LISTSTATUS", folder)["FileStatuses"]["FileStatus"])


def number_of_blocks(path: str) -> int:
    """How many blocks a file has: one for each 128 MB begun, none if it is empty."""
    # TODO 3: ask the NameNode: operation GETFILEBLOCKLOCATIONS.
    return 0


def answers(folder: str) -> dict[str, int]:
    """Number of files, their bytes (one copy of each), the largest replication, and the number of blocks."""
    files = data_files(folder)
    return {
        "files": len(files),
        # TODO 4: look at one entry of files (print it) and take both from there.
        "bytes": 0,
        "replication": 0,
        "blocks": sum(number_of_blocks(f"{folder}/{file['pathSuffix']}") for file in files),
    }


if __name__ == "__main__":
    try:
        print(json.dumps({folder: answers(folder) for folder in FOLDERS}, indent=2))
    except requests.RequestException as error:
        sys.exit(f"The NameNode at {WEBHDFS} gave no answer: {error}")
