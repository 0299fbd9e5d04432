#!/bin/bash
# Times the local cluster: built from nothing (empty compiler, module and part caches), started again, and when it is up already.
# Prints a Markdown table for benches/RESULTS.md. `benches/cluster.sh warm` leaves the first out, which takes about ten minutes.
set -euo pipefail
cd "$(dirname -- "$0")/.."
cluster=hack/cluster/cluster
export CLUSTER=bench
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

echo "| what | seconds | limit |"
echo "|---|---|---|"
if [ "${1:-}" != warm ]; then
  export GOCACHE=$work/gocache GOMODCACHE=$work/gomod LANDFALL_CACHE=$work/cache
  echo "| \`make cluster\` from nothing: all caches empty | $(seconds $cluster up) | 1200 |"
  $cluster down >/dev/null 2>&1
  unset GOCACHE GOMODCACHE LANDFALL_CACHE
fi
$cluster build >/dev/null 2>&1
echo "| \`make cluster\` after \`make cluster-down\`, median of 5 | $(median "$cluster up" "$cluster down") | 30 |"
echo "| \`make cluster\` when it is up, median of 5 | $(median "$cluster up" "") | 3 |"
echo "| \`make cluster-status\`, median of 5 | $(median "$cluster status" "") | |"
echo "| \`make cluster KWOK_NODES=50\` when it is up without them | $(KWOK_NODES=50 seconds $cluster up) | |"
memory=$($cluster status -o json | jq -r '.components[] | select(.pid) | "\(.name) \(.pid)"' | while read -r _ pid; do
  awk '/VmRSS/ { print $2 }' "/proc/$pid/status"
done | awk '{ sum += $1 } END { printf "%.0f", sum / 1024 }')
echo "| resident memory of all components, idle (MB) | $memory | |"
echo "| \`make cluster-down\` | $(seconds $cluster down) | |"
