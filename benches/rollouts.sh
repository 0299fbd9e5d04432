#!/bin/sh
# Times rollouts on a cluster of its own with pretended nodes, and removes it. Arguments go to the program: --rollouts=300,
# --latency=50, --real=50 and --idle=5000 are how many of each; 0 leaves a part out. Pods of --real are of the project's image.
set -eu
cd "$(dirname -- "$0")/.."
cluster=hack/cluster/cluster
CLUSTER=bench KWOK_NODES=${KWOK_NODES:-100}
export CLUSTER KWOK_NODES
cargo bench --locked --bench rollouts --no-run
trap '$cluster down >/dev/null 2>&1 || true' EXIT
$cluster up >/dev/null
$cluster image >/dev/null
$cluster exec -- cargo bench --locked --offline --bench rollouts -- "$@"
