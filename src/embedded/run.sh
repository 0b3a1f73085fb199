#!/usr/bin/env bash
# The whole of Relay on one machine: a private PostgreSQL, one silo, one gateway and a connector with a demo SSH
# socket, all under .relay/. Runs in the foreground; Ctrl-C stops everything it started. Starting again goes on with
# the same state.
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${RELAY_STATE_DIR:-$PWD/.relay}
bin=$PWD/.artifacts/bin
configuration=${CONFIGURATION:-Release}; configuration=${configuration,,}
api=${RELAY_API_LISTEN:-127.0.0.1:8080}
mkdir -p "$state/bin" "$state/log"
# Passable, not readable: under root the private PostgreSQL runs as another account.
chmod 711 "$state"
ln -sfn "$bin/Relay.Cli/$configuration/relay" "$state/bin/relay"

declare -A pids=()
stop() {
  trap - EXIT INT TERM
  # The gateway first: it tells its users, and what they did is written by those behind it.
  for part in gateway connector silo; do
    [ -n "${pids[$part]:-}" ] || continue
    kill -TERM "${pids[$part]}" 2>/dev/null && wait "${pids[$part]}" 2>/dev/null || true
  done
}
trap stop EXIT
trap 'echo; echo "Stopping …"; exit 0' INT TERM

start() { # name, ready text, command …
  local name=$1 ready=$2 log="$state/log/$1.log"; shift 2
  : > "$log"; chmod 600 "$log"
  "$@" >> "$log" 2>&1 &
  local pid=$!
  pids[$name]=$pid
  # tail ends by itself with the process it watches, so a start that fails is noticed at once.
  if ! grep -q -m1 -- "$ready" < <(tail -n +1 --pid="$pid" -f "$log" 2>/dev/null); then
    echo "Error: the $name did not start. Its last lines ($log):" >&2
    tail -n 5 "$log" >&2
    exit 1
  fi
}

relay() { RELAY_HOME="$state/home" RELAY_API="http://$api" "$state/bin/relay" "$@"; }
# What it says is of interest only when it fails.
quietly() { local said; said=$(relay "$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }; }

echo "Starting Relay in $state"
export RELAY_STATE_DIR=$state RELAY_API_LISTEN=$api
RELAY_BOOTSTRAP_FILE="$state/admin.password" start silo '"msg":"silo ready"' "$bin/Relay.Silo/$configuration/relay-silo"
echo "  silo       http://$api"
# Whoever types Ctrl-C here does not want to wait for sessions to finish.
export RELAY_GATEWAY_DRAIN_SECONDS=${RELAY_GATEWAY_DRAIN_SECONDS:-0}
RELAY_GATEWAY_TOKEN_FILE="$state/gateway.token" start gateway '"msg":"gateway ready"' "$bin/Relay.Gateway/$configuration/relay-gateway"
echo "  gateway    ssh on ${RELAY_SSH_LISTEN:-127.0.0.1:2222}"

# The demo connector and its socket are made at the first start; they are ordinary resources and may be deleted.
# The password's file is taken away last: a first start that was interrupted is taken up again.
password=
if [ -e "$state/admin.password" ]; then
  quietly login --email admin@relay.local --password-file "$state/admin.password"
  relay connector show local > /dev/null 2>&1 || quietly connector create --name local --description 'this machine'
  [ -e "$state/connector.token" ] || quietly connector token create --connector local --out "$state/connector.token"
  relay socket show demo > /dev/null 2>&1 || quietly socket create ssh --name demo --connector local \
    --upstream-type connector_built_in_ssh_service --username "$(id -un)" --recording
  quietly logout
  password=$(cat "$state/admin.password")
  rm "$state/admin.password"
fi
if [ -e "$state/connector.token" ]; then
  RELAY_TOKEN_FILE="$state/connector.token" start connector 'connected to relay' "$state/bin/relay" connector start
  echo "  connector  local, with the socket \"demo\": a shell on this machine"
fi
echo
if [ -n "$password" ]; then
  echo "First start. The administrator is admin@relay.local, the password (shown once):"
  echo
  echo "    $password"
  echo
fi
cat <<TXT
Type in another terminal:

    export PATH="$state/bin:\$PATH"
    relay login --email admin@relay.local
    relay socket ls
    relay client ssh demo
    relay session ls
    relay session replay SESSION_ID

Logs are in $state/log. Ctrl-C stops everything.
TXT
wait -n "${pids[@]}" || true
for part in "${!pids[@]}"; do kill -0 "${pids[$part]}" 2>/dev/null || { echo "Error: the $part ended by itself; see $state/log/$part.log." >&2; exit 1; }; done
