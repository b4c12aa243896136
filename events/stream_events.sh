#!/usr/bin/env bash
# A hundred players: user1 … user50 of comcast.com and of att.com. Each joins a guild and purchases a sword.
# The address of the game is FLASK_URL, http://localhost:5000 if that is not set.
set -u

url=${FLASK_URL:-http://localhost:5000}

# One request by player $1 on route $2. ab itself ends well on a 404, so its report is read.
play() {
    local report
    if ! report=$(ab -n 1 -H "Host: $1" "$url$2" 2>&1); then
        printf '\nNo answer from %s for %s. Does the game run there (flask run)? ab said:\n%s\n' \
            "$url$2" "$1" "$report" >&2
        exit 1
    fi
    if [[ $report == *"Non-2xx responses:"* ]]; then
        printf '\n%s refused %s: the answer was not 2xx. Try: curl -i %s\n' "$url$2" "$1" "$url$2" >&2
        exit 1
    fi
}

# The fifty players of provider $1, one after the other, on route $2.
players() {
    local user
    for ((user = 1; user <= 50; user++)); do
        play "user$user.$1.com" "$2"
    done
    printf '50 players of %s.com: %s\n' "$1" "$2"
}

# All four at once: after an answer Flask's server keeps the connection open for 10 ms, and ab waits for its end.
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null' EXIT
for provider in comcast att; do
    for route in /join_guild /purchase_sword; do
        players "$provider" "$route" &
        jobs+=($!)
    done
done
for job in "${jobs[@]}"; do
    wait "$job" || exit 1
done
