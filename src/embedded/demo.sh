#!/usr/bin/env bash
# Does Relay's main job unattended and proves each step: a real sshd in a network that only a connector can reach, a
# stock OpenSSH client outside it, and a policy that decides. Exits 0 only if every step held.
# Needs root for the network namespaces; everything it makes is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "Error: the demo makes network namespaces and needs root. Try: sudo make demo" >&2; exit 1; }
bin=$PWD/.artifacts/bin
configuration=${CONFIGURATION:-Release}; configuration=${configuration,,}
work=$(mktemp -d /tmp/relay-demo.XXXXXX)
chmod 711 "$work"
id=$$
site=relay-site-$id     # where the connector runs: reaches the silo and the target
target=relay-target-$id # where sshd runs: reached from the site only
user=relay-demo-$id     # whom sessions log in as; of this run alone
pids=()

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
show() { sed 's/^/   | /'; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; for log in "$work"/*.log; do printf -- '--- %s\n' "$log" >&2; tail -n 8 "$log" >&2; done; exit 1; }

cleanup() {
  status=$?
  trap - EXIT INT TERM
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill -TERM "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true; done
  ip netns del "$site" 2>/dev/null || true
  ip netns del "$target" 2>/dev/null || true
  ip link del "rd$id" 2>/dev/null || true
  ip route del unreachable 198.18.73.4/30 2>/dev/null || true
  userdel "$user" 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 1' INT TERM

start() { # name, ready text, command …
  local name=$1 ready=$2 log="$work/$1.log"; shift 2
  : > "$log"
  "$@" >> "$log" 2>&1 &
  local pid=$!
  pids+=("$pid")
  grep -q -m1 -- "$ready" < <(tail -n +1 --pid="$pid" -f "$log" 2>/dev/null) || fail "$name did not start"
}
relay() { "$bin/Relay.Cli/$configuration/relay" "$@"; }

step "A network that nobody can see: $target, behind $site"
ip netns add "$site"
ip netns add "$target"
ip link add "rd$id" type veth peer name outer netns "$site"
ip addr add 198.18.73.1/30 dev "rd$id" && ip link set "rd$id" up
ip -n "$site" addr add 198.18.73.2/30 dev outer && ip -n "$site" link set outer up && ip -n "$site" link set lo up
ip -n "$site" link add inner type veth peer name outer netns "$target"
ip -n "$site" addr add 198.18.73.5/30 dev inner && ip -n "$site" link set inner up
ip -n "$target" addr add 198.18.73.6/30 dev outer && ip -n "$target" link set outer up && ip -n "$target" link set lo up
# Nothing of this host may leave for the target's network by a default route.
ip route add unreachable 198.18.73.4/30
say "site 198.18.73.2 -> target 198.18.73.6; this host has no route to the target"

step "A silo with its private PostgreSQL, and a gateway"
export RELAY_STATE_DIR=$work/state RELAY_HOME=$work/home
mkdir -p "$RELAY_STATE_DIR"
RELAY_BOOTSTRAP_FILE=$work/admin.password RELAY_API_LISTEN=127.0.0.1:0 RELAY_GRID_LISTEN=127.0.0.1:0 \
  RELAY_CONNECTOR_LISTEN=198.18.73.1:0 start silo '"msg":"silo ready"' "$bin/Relay.Silo/$configuration/relay-silo"
field() { grep -m1 "\"msg\":\"$2\"" "$work/$1.log" | sed -E "s/.*\"$3\":\"([^\"]*)\".*/\1/"; }
RELAY_API=$(field silo 'silo ready' api); export RELAY_API
case $RELAY_API in http*) ;; *) RELAY_API=http://$RELAY_API ;; esac
RELAY_GATEWAY_TOKEN_FILE=$RELAY_STATE_DIR/gateway.token RELAY_SSH_LISTEN=127.0.0.1:0 \
  start gateway '"msg":"gateway ready"' "$bin/Relay.Gateway/$configuration/relay-gateway"
say "API $RELAY_API, SSH gateway $(field gateway 'gateway ready' ssh)"

step "The administrator logs in and makes connector, token and socket"
relay login --email admin@relay.local --password-file "$work/admin.password" 2>&1 | show
relay connector create --name site --description 'demo site' 2>&1 | show
relay connector token create --connector site --out "$work/connector.token" 2>&1 | show
relay org ssh-ca > "$work/ssh-ca.pub"

step "A real sshd in the hidden network, trusting the organization's SSH CA and no password, no key"
useradd --create-home --home-dir "$work/homes" --shell /bin/bash "$user"
usermod -p '*' "$user"
mkdir -p /run/sshd "$work/sshd"
ssh-keygen -q -t ed25519 -N '' -f "$work/sshd/host_key"
echo relay_ssh_signed > "$work/sshd/principals"
cat > "$work/sshd/config" <<CONF
Port 22
ListenAddress 198.18.73.6
HostKey $work/sshd/host_key
PidFile none
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
TrustedUserCAKeys $work/ssh-ca.pub
AuthorizedPrincipalsFile $work/sshd/principals
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
CONF
start sshd 'Server listening' ip netns exec "$target" "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f "$work/sshd/config"
if timeout 2 bash -c 'exec 3<>/dev/tcp/198.18.73.6/22' 2>/dev/null; then fail "the target can be reached without the connector"; fi
say "sshd listens on 198.18.73.6:22; from here it cannot be reached"

step "The connector dials out from the site"
RELAY_TOKEN_FILE=$work/connector.token start connector 'connected to relay' ip netns exec "$site" "$bin/Relay.Cli/$configuration/relay" connector start
relay connector list 2>&1 | show

step "The socket"
relay socket create ssh --name db-host --connector site --host 198.18.73.6 --port 22 --username "$user" --recording \
  --host-key "$work/sshd/host_key.pub" 2>&1 | show

step "Without a policy the door stays shut"
relay policy delete default-org-policy 2>&1 | show
if relay client ssh db-host -- true 2> "$work/refused.txt"; then fail "ssh worked without a policy"; fi
show < "$work/refused.txt"
grep -qi 'denied' "$work/refused.txt" || fail "the refusal does not explain itself"

step "A policy that allows it"
cat > "$work/policy.json" <<JSON
{"version":"v2",
 "permissions":{"ssh":{"shell":{},"exec":{},"sftp":{}}},
 "condition":{"who":{"email":["admin@relay.local"]}}}
JSON
relay policy create --name demo-ssh --file "$work/policy.json" 2>&1 | show
relay policy attach --name demo-ssh --socket db-host 2>&1 | show

step "Commands over the stock OpenSSH client"
out=$(relay client ssh db-host -- 'echo "hello from $(hostname) as $(id -un)"')
say "$out"
[[ $out == *"as $user" ]] || fail "unexpected answer"
if relay client ssh db-host -- 'exit 7'; then fail "the exit code got lost"; elif [ $? -ne 7 ]; then fail "the exit code changed"; fi
say "exit code 7 came back as 7"
relay client ssh-config > "$work/ssh_config"
out=$(ssh -F "$work/ssh_config" db-host.relay 'echo plain ssh works')
say "$out"
[ "$out" = "plain ssh works" ] || fail "plain ssh did not work"

step "A file with scp, there and back"
head -c 20000000 /dev/urandom > "$work/file"
scp -q -F "$work/ssh_config" "$work/file" db-host.relay:file
scp -q -F "$work/ssh_config" db-host.relay:file "$work/file.back"
cmp "$work/file" "$work/file.back" || fail "the file changed on its way"
say "20 MB, identical"

step "The recording"
session=$(relay session ls --socket db-host --output json | jq -r '[.list[] | select(.recording_state == "ready")] | last | .session_id')
relay session replay "$session" --speed 1000 > "$work/replay.txt"
show < "$work/replay.txt"
grep -q 'hello from' "$work/replay.txt" || fail "the recording does not show what happened"

step "A live session is killed"
relay client ssh db-host -- 'echo started; exec sleep 600' > "$work/live.txt" 2>&1 &
live=$!
grep -q -m1 started < <(timeout 20 tail -n +1 -f "$work/live.txt" 2>/dev/null) || fail "the session to kill did not start"
session=$(relay session ls --live --output json | jq -r '.list[0].session_id')
begin=$(date +%s%N)
relay session kill "$session" 2>&1 | show
wait "$live" && fail "the killed session ended well" || true
say "it ended $(( ($(date +%s%N) - begin) / 1000000 )) ms after the command was typed"
show < "$work/live.txt"

step "Who did what"
relay session ls 2>&1 | show
printf '\nEvery step held.\n'
