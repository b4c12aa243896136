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

for ((user = 1; user <= 50; user++)); do
    for provider in comcast att; do
        play "user$user.$provider.com" /join_guild
        play "user$user.$provider.com" /purchase_sword
    done
    if [[ -t 1 ]]; then
        printf '\rplayers: %d of 100' $((2 * user))
    elif ((user % 10 == 0)); then
        printf 'players: %d of 100\n' $((2 * user))
    fi
done
[[ ! -t 1 ]] || printf '\n'
