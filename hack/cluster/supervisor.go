package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The hidden command under which this program is the supervisor of one cluster.
const supervisorCommand = "supervise"

// SupervisorConfig is what `up` decided before it started the supervisor; it stays in the state directory as supervisor.json.
type SupervisorConfig struct {
	Mode     Mode   `json:"mode"`
	Cgroup   string `json:"cgroup"`
	PortBase int    `json:"portBase"`
	Cache    string `json:"cache"`
	// Snapshotter is how containerd keeps the layers of images.
	Snapshotter string `json:"snapshotter,omitempty"`
	// Reason says in one sentence why the node is left out; empty for a full cluster.
	Reason string `json:"reason,omitempty"`
}

// Spec is one component to run. Two specs that differ are two different processes: ensure replaces the old one.
type Spec struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir"`
	Log  string   `json:"log"`
}

// Process is what the supervisor knows of one component.
type Process struct {
	Spec    Spec      `json:"spec"`
	Pid     int       `json:"pid"` // in the supervisor's pid namespace
	Running bool      `json:"running"`
	Since   time.Time `json:"since"` // of the start, or of the end
	End     string    `json:"end,omitempty"`
}

// supervisor starts components when asked and remembers how they ended. It never restarts one by itself: a component that died
// is shown by status and repaired by up, and a test can rely on both.
type supervisor struct {
	mutex     sync.Mutex
	changed   sync.Cond
	processes map[string]*Process
	starts    chan startRequest
}

type startRequest struct {
	spec   Spec
	result chan error
}

// runSupervisor is the life of the supervisor of the cluster in the given state directory. In a full cluster it is process 1 of its
// own pid namespace, so its end is the end of everything that runs there.
func runSupervisor(state string) error {
	// A parent-death signal follows the thread that forked, so one thread forks all and lives as long as the process.
	runtime.LockOSThread()
	config, err := readSupervisorConfig(state)
	if err != nil {
		return err
	}
	if config.Mode == modeFull {
		if err := becomeNode(state, config.Cache, config.Cgroup); err != nil {
			return err
		}
	}
	s := &supervisor{processes: map[string]*Process{}, starts: make(chan startRequest)}
	s.changed.L = &s.mutex
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := s.serve(socketPath(state)); err != nil {
		return err
	}
	for {
		select {
		case <-stop:
			// In a full cluster the kernel ends all others with this process.
			if config.Mode == modeControlPlane {
				s.killAll()
			}
			return nil
		case request := <-s.starts:
			request.result <- s.start(request.spec)
		case <-children:
			s.reap()
		}
	}
}

func readSupervisorConfig(state string) (SupervisorConfig, error) {
	var config SupervisorConfig
	text, err := os.ReadFile(filepath.Join(state, "supervisor.json"))
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(text, &config)
}

func socketPath(state string) string { return filepath.Join(state, "supervisor.sock") }

func (s *supervisor) serve(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); err != nil {
			fmt.Fprintln(os.Stderr, "supervisor: the control socket failed:", err)
			os.Exit(1)
		}
	}()
	return nil
}

// ServeHTTP answers on the control socket, which only the cluster's user can open: GET lists the processes, POST ensures one, DELETE
// stops one, CONNECT is an ordinary HTTP tunnel to an address inside the cluster's network.
func (s *supervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodConnect:
		tunnel(w, r)
	case http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.list())
	case http.MethodPost:
		var spec Spec
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&spec); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.ensure(spec); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	case http.MethodDelete:
		s.stop(filepath.Base(r.URL.Path))
	default:
		http.Error(w, "unknown method", http.StatusMethodNotAllowed)
	}
}

func (s *supervisor) list() []Process {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := make([]Process, 0, len(s.processes))
	for _, process := range s.processes {
		all = append(all, *process)
	}
	return all
}

// ensure makes the component run as the spec says: nothing to do, a start, or a replacement.
func (s *supervisor) ensure(spec Spec) error {
	s.mutex.Lock()
	process := s.processes[spec.Name]
	running := process != nil && process.Running
	same := running && process.Spec.equal(spec)
	s.mutex.Unlock()
	if same {
		return nil
	}
	if running {
		s.stop(spec.Name)
	}
	request := startRequest{spec: spec, result: make(chan error, 1)}
	s.starts <- request
	return <-request.result
}

func (a Spec) equal(b Spec) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return string(left) == string(right)
}

// start runs on the forking thread alone, so a child is always in the table before it is reaped.
func (s *supervisor) start(spec Spec) error {
	log, err := openLog(spec.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	attributes := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	pid, err := syscall.ForkExec(spec.Argv[0], spec.Argv, &syscall.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()}, Sys: attributes,
	})
	if err != nil {
		return fmt.Errorf("%s does not start: %w", spec.Name, err)
	}
	s.mutex.Lock()
	s.processes[spec.Name] = &Process{Spec: spec, Pid: pid, Running: true, Since: time.Now()}
	s.mutex.Unlock()
	return nil
}

// openLog appends; a log above 32 MB is kept once as the previous one, so logs are bounded over restarts.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 32<<20 {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// reap collects every child that ended, also the orphans that process 1 inherits (containerd's shims).
func (s *supervisor) reap() {
	for {
		var wait syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &wait, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		s.ended(pid, wait)
	}
}

func (s *supervisor) ended(pid int, wait syscall.WaitStatus) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, process := range s.processes {
		if process.Pid == pid && process.Running {
			process.Running, process.Since, process.End = false, time.Now(), describeEnd(wait)
			s.changed.Broadcast()
		}
	}
}

func describeEnd(wait syscall.WaitStatus) string {
	if wait.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(wait.Signal()), wait.Signal())
	}
	return fmt.Sprintf("ended with exit code %d", wait.ExitStatus())
}

// stop ends one component, politely for five seconds, and returns when it has ended.
func (s *supervisor) stop(name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	process := s.processes[name]
	if process == nil {
		return
	}
	if process.Running {
		_ = syscall.Kill(process.Pid, syscall.SIGTERM)
	}
	last := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) })
	defer last.Stop()
	for process.Running {
		s.changed.Wait()
	}
	delete(s.processes, name)
}

// killAll ends the process groups of a cluster that has no pid namespace to do it, and collects them.
func (s *supervisor) killAll() {
	for _, process := range s.list() {
		if process.Running {
			_ = syscall.Kill(-process.Pid, syscall.SIGKILL)
		}
	}
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// tunnel joins the caller to an address inside the cluster's network namespace.
func tunnel(w http.ResponseWriter, r *http.Request) {
	inner, err := net.DialTimeout("tcp", r.Host, 5*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer inner.Close()
	outer, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer outer.Close()
	if _, err := io.WriteString(outer, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	join(inner, outer, buffered)
}

// join copies both ways until both sides are done; fromOuter holds what was already read of the outer one.
func join(inner, outer net.Conn, fromOuter io.Reader) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(inner, fromOuter)
		closeWrite(inner)
	}()
	_, _ = io.Copy(outer, inner)
	closeWrite(outer)
	<-done
}

func closeWrite(connection net.Conn) {
	if half, ok := connection.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
