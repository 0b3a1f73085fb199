#!/usr/bin/env bash
# Runs every test program and ends with the sum: "N passed, N failed[, N skipped]".
set -uo pipefail
cd "$(dirname "$0")/.."
configuration=${CONFIGURATION:-Release}; configuration=${configuration,,}
passed=0 failed=0 skipped=0 status=0
failures=.artifacts/test-failures.txt
: > "$failures"
for project in Relay.Tests Relay.EndToEndTests; do
  log=".artifacts/test-$project.log"
  echo "== $project"
  # Whoever starts this in the background has SIGINT ignored, and every program that a test interrupts would inherit it.
  env --default-signal=INT ".artifacts/bin/$project/$configuration/$project" -noLogo -noColor "$@" 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
  # xunit's last line: "Total: 12, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0, Time: 0.1s"
  line=$(grep -E 'Total: [0-9]+, Errors: ' "$log" | tail -n 1)
  if [ -z "$line" ]; then echo "Error: $project reported no result"; status=1; failed=$((failed + 1)); continue; fi
  n() { sed -E "s/.*$1: ([0-9]+).*/\1/" <<<"$line"; }
  bad=$(( $(n Failed) + $(n Errors) ))
  [ "$(n Total)" -gt 0 ] || { echo "Error: $project ran no test"; status=1; }
  passed=$((passed + $(n Total) - bad - $(n Skipped)))
  failed=$((failed + bad)); skipped=$((skipped + $(n Skipped)))
  # Each failed test with the first lines of its reason: what a log that shows only its end must still show.
  grep -E -A 6 '^    .* \[FAIL\]$' "$log" | cut -c 1-400 >> "$failures"
done
cat "$failures"
if [ "$skipped" -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
exit $status
