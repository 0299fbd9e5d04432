// Lua as Argo CD has it, for the test of the health script.
module landfall.dev/hack/cluster/parts/lua

go 1.26.0

tool (
	github.com/yuin/gopher-lua/cmd/glua
	golang.org/x/sys
)

require (
	github.com/chzyer/readline v0.0.0-20180603132655-2972be24d48e // indirect
	github.com/yuin/gopher-lua v1.1.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
