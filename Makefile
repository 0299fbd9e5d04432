# `make help` lists the targets. Settings (CLUSTER, KWOK_NODES, PORT_BASE, LANDFALL_*) may be given as make variables or in the environment.
SHELL := /bin/sh
cluster := hack/cluster/cluster
export CLUSTER KWOK_NODES PORT_BASE

.PHONY: help demo test check lint fuzz image cluster cluster-down cluster-status cluster-shell cluster-forward bench

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-24s%s\n", $$1, $$2}'

demo: ## the main job on this machine: a cluster, the operator, three rollouts and a repository under load
	@hack/demo

test: ## every test; starts a cluster if none runs and stops it again
	@hack/test

check: ## the tests that need no cluster
	cargo test --locked
	cd hack/cluster && go test ./...

lint: ## formatting and lints
	@hack/lint

# `make fuzz TARGET=yaml SECONDS=600` looks at one for longer.
fuzz: ## look for inputs that break a property, a minute per target
	@hack/fuzz $(or $(TARGET),all) $(or $(SECONDS),60)

image: ## build the project's image and load it into the node
	@$(cluster) image

cluster: ## start the local cluster, or repair it
	@$(cluster) up

cluster-down: ## stop the local cluster and remove all that it made
	@$(cluster) down

cluster-status: ## show each component of the local cluster
	@$(cluster) status

cluster-shell: ## a shell with the cluster's KUBECONFIG, PATH and network
	@$(cluster) shell

cluster-forward: ## bring API server and gateway to loopback until Ctrl-C
	@$(cluster) forward

bench: ## measure; the results belong into benches/RESULTS.md
	@benches/cluster.sh
	@benches/rollouts.sh
	@benches/sources.sh
