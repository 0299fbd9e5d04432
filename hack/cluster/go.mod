// The program behind `make cluster`. It needs the standard library alone; the parts of the cluster have modules of their own under parts/.
module landfall.dev/hack/cluster

go 1.26.0
