#!/bin/bash
# Times the local cluster: built from nothing (empty compiler, module and part caches), started again, and when it is up already.
# Prints a Markdown table for benches/RESULTS.md. `benches/cluster.sh warm` leaves the first out, which takes about ten minutes.
set -euo pipefail
cd "$(dirname -- "$0")/.."
cluster=hack/cluster/cluster
export CLUSTER=bench
command -v jq >/dev/null || { echo "bench: jq is missing: apt-get install jq" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/landfall-bench.XXXXXX")
trap '$cluster down >/dev/null 2>&1 || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT

# seconds COMMAND…: the wall time of a command, whose output goes to a file
seconds() {
  local start end
  start=$(date +%s.%N)
  "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; exit 1; }
  end=$(date +%s.%N)
  awk "BEGIN { printf \"%.1f\", $end - $start }"
}

# median COMMAND BEFORE: the median of five, each after BEFORE
median() {
  for _ in 1 2 3 4 5; do
    if [ -n "$2" ]; then $2 >/dev/null 2>&1; fi
    seconds $1
    echo
  done | sort -n | sed -n 3p
}

# row WHAT VALUE LIMIT
row() { echo "| $1 | $2 | $3 |"; }

echo "| what | seconds | limit |"
echo "|---|---|---|"
if [ "${1:-}" != warm ]; then
  # In a subshell, so that the measurements after it use the caches that are there.
  cold=$(
    export GOCACHE=$work/gocache GOMODCACHE=$work/gomod LANDFALL_CACHE=$work/cache
    seconds $cluster up
    $cluster down >/dev/null 2>&1
  )
  row "\`make cluster\` from nothing: all caches empty" "$cold" 1200
  disk=$(du -sm "$work/gocache" "$work/gomod" "$work/cache" | awk '{ printf "%s%s", sep, $1; sep = ", " }')
  row "disk after that: compiler cache, modules, parts (MB)" "$disk" ""
fi
$cluster build >/dev/null 2>&1
again=$(median "$cluster up" "$cluster down")
row "\`make cluster\` after \`make cluster-down\`, median of 5" "$again" 30
idle=$(median "$cluster up" "")
row "\`make cluster\` when it is up, median of 5" "$idle" 3
status=$(median "$cluster status" "")
row "\`make cluster-status\`, median of 5" "$status" ""
pretended=$(KWOK_NODES=50 seconds $cluster up)
row "\`make cluster KWOK_NODES=50\` when it is up without them" "$pretended" ""
memory=$($cluster status -o json | jq -r '.components[] | select(.pid) | .pid' | while read -r pid; do
  awk '/VmRSS/ { print $2 }' "/proc/$pid/status"
done | awk '{ sum += $1 } END { printf "%.0f", sum / 1024 }')
row "resident memory of all components, idle (MB)" "$memory" ""
end=$(seconds $cluster down)
row "\`make cluster-down\`" "$end" ""
