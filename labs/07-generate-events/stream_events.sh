#!/usr/bin/env bash
# A hundred players: user1 … user50 of comcast.com and of att.com. Each joins a guild and purchases a sword.
# The address of the game is FLASK_URL, http://localhost:5000 if that is not set.
set -u

url=${FLASK_URL:-http://localhost:5000}

# One request by player $1 on route $2.
play() {
    local report
    if ! report=$(ab -n 1 -H "Host: $1" "$url$2" 2>&1); then
        printf '\nNo answer from %s for %s. Does the game run there (flask run)? ab said:\n%s\n' \
            "$url$2" "$1" "$report" >&2
        exit 1
    fi
    # TODO 1: ab ends well even if the game answers 404 or 500. Its report tells: look into $report, and if the game
    # refused, say so on stderr and exit 1. (Try what ab prints for a route that the game does not have.)
}

# TODO 2: one player of one provider is not a hundred, and nobody purchases a sword.
for ((user = 1; user <= 1; user++)); do
    play "user$user.comcast.com" /join_guild
done
