// The container that holds a pod's namespaces open.
module landfall.dev/hack/cluster/parts/pause

go 1.26.0
