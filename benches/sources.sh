#!/bin/sh
# Times sources on a cluster of its own, and removes it: one Profile with a repository of APPS applications of four objects each, a commit
# that changes one of them, and PROFILES Profiles with a directory each of one repository. Prints Markdown rows for benches/RESULTS.md.
# The cluster is a control plane and no more, as the limits say; LANDFALL_CLUSTER_MODE=full has a node and a gateway beside it.
set -eu
cd "$(dirname -- "$0")/.."
cluster=hack/cluster/cluster
CLUSTER=bench LANDFALL_CLUSTER_MODE=${LANDFALL_CLUSTER_MODE:-control-plane}
export CLUSTER LANDFALL_CLUSTER_MODE
if [ "${1:-}" != inside ]; then
  cargo build --release --locked
  cargo bench --locked --bench rollouts --no-run
  trap '$cluster down >/dev/null 2>&1 || true' EXIT
  $cluster up >/dev/null
  $cluster exec -- "$0" inside
  exit
fi

apps=${APPS:-1000} profiles=${PROFILES:-1000}
landfall=$PWD/target/release/landfall
work=$(mktemp -d /tmp/landfall-bench.XXXXXX)
server='' operator=''
clean_up() {
  for process in $operator $server; do kill "$process" 2>/dev/null || true; done
  for process in $operator $server; do wait "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# Four objects of one application. $1 is its name, $2 a value that a commit changes.
application() {
  cat <<YAML
apiVersion: v1
kind: ServiceAccount
metadata: {name: $1}
---
apiVersion: v1
kind: Service
metadata: {name: $1, annotations: {example.test/value: "$2"}}
spec: {selector: {app: $1}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: 0
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec: {serviceAccountName: $1, containers: [{name: main, image: 'example.test/app:1'}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: $1}
spec: {rules: [{host: $1.example.test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: $1, port: {name: http}}}}]}}]}
YAML
}

mkdir "$work/server" "$work/tree"
hack/repository "$work/server" 127.0.0.2 39443 localhost >/dev/null 2>"$work/server.log" &
server=$!
while [ ! -e "$work/server/ready" ]; do kill -0 "$server"; sleep 0.1; done
git -C "$work/tree" init --quiet --initial-branch=main
git -C "$work/tree" config user.name bench
git -C "$work/tree" config user.email bench@example.test
push() {
  git -C "$work/tree" add -A
  git -C "$work/tree" commit --quiet -m "$1"
  git -C "$work/tree" push --quiet --force "$work/server/shop.git" main
}
number=0
while [ $number -lt "$apps" ]; do
  mkdir -p "$work/tree/all/a$number"
  application "a$number" 1 >"$work/tree/all/a$number/app.yaml"
  number=$((number + 1))
done
push first

# A namespace that a Profile can write to.
prepare() {
  kubectl create namespace "$1" >/dev/null
  "$landfall" init "$1" >/dev/null
  kubectl -n "$1" create role bench --verb=get,list,watch,create,update,patch,delete --resource=serviceaccounts >/dev/null
  kubectl -n "$1" create rolebinding bench --role=bench --serviceaccount="$1:landfall-deployer" >/dev/null
  kubectl -n "$1" create secret generic git --from-file=ca.crt="$work/server/ca.crt" --from-file=username="$work/server/user" \
    --from-file=password="$work/server/password" >/dev/null
}
profile() {
  cat <<YAML
apiVersion: landfall.dev/v1alpha1
kind: Profile
metadata: {name: $1}
spec:
  environment: bench
  source:
    git: {url: 'https://127.0.0.2:39443/shop.git', path: $2, interval: 1m, secretRef: {name: git}}
    prune: true
---
YAML
}
start() {
  "$landfall" operator --listen 127.0.0.1:0 --lease-namespace default --identity bench-0 --data-dir "$work/data" --local-repositories \
    >/dev/null 2>"$work/operator.log" &
  operator=$!
  while ! grep -q 'in view' "$work/operator.log"; do kill -0 "$operator"; sleep 0.1; done
}
ticks() { cut -d ')' -f 2 "/proc/$operator/stat" | awk '{print ($12 + $13) / 100}'; }
peak() { awk '/VmHWM/ {printf "%d", $2 / 1024}' "/proc/$operator/status"; }
now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{printf "%.1f", $1 - $2}'; }
# Nothing changes when the controllers have done what the objects gave them to do.
idle() {
  for when in "the minute after" "another minute later"; do
    used=$(ticks)
    sleep 60
    echo "| nothing changes, $when | 60 | $(minus "$(ticks)" "$used") | $(peak) |"
  done
}
minus() { echo "$1 $2" | awk '{printf "%.2f", $1 - $2}'; }

# Namespaces with thousands of objects go slowly, and what is there would be work for those who look after it: each part begins without.
"$landfall" crds | kubectl apply --server-side -f - >/dev/null
echo "| what | seconds | processor time (s) | peak memory (MB) |"
echo "|---|---|---|---|"
cargo bench --quiet --locked --offline --bench rollouts -- --plain="$work/tree/all"
kubectl delete namespace plain --timeout=600s >/dev/null
prepare one
start
began=$(now) used=$(ticks)
profile production /all | kubectl apply --server-side -n one -f - >/dev/null
kubectl -n one wait --for=condition=Synced --timeout=300s profile/production >/dev/null
echo "| one Profile, $apps applications of 4 objects, first sync to Ready | $(since "$began") | $(minus "$(ticks)" "$used") | $(peak) |"

application a7 2 >"$work/tree/all/a7/app.yaml"
push second
began=$(now) used=$(ticks)
"$landfall" sync production -n one >"$work/sync.log"
echo "| there, a commit that changes one application, from asking for it to Ready | $(since "$began") | $(minus "$(ticks)" "$used") | $(peak) |"
began=$(now)
kubectl -n one annotate service a9 example.test/value=other --overwrite >/dev/null
while [ "$(kubectl -n one get service a9 -o jsonpath='{.metadata.annotations.example\.test/value}')" != 1 ]; do :; done
echo "| a change by somebody else, set back and seen with kubectl | $(since "$began") | | |"
idle
kill "$operator"; wait "$operator" || true
operator=''

if [ "$profiles" -gt 0 ]; then
  kubectl delete namespace one --timeout=600s >/dev/null
  prepare many
  start
  number=0
  while [ $number -lt "$profiles" ]; do
    profile "p$number" "/all/a$number"
    number=$((number + 1))
  done >"$work/profiles.yaml"
  used=$(ticks)
  cargo bench --quiet --locked --offline --bench rollouts -- --profiles="$work/profiles.yaml"
  echo "| of which the operator, one repository with a directory for each | | $(minus "$(ticks)" "$used") | $(peak) |"
  idle
fi
