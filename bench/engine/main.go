// A driver that stands where the engine stands, on NRI's own engine side, and takes the time of what it asks plugins.
//
// It listens for plugins as containerd does and obeys commands, one JSON object a line on standard input, one after
// another, as engines do. Each is answered by one JSON object a line on standard output. What is timed is the call of
// NRI's engine side, so its own work (merging answers, encoding) is part of every figure, whoever the plugin is.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/log"
)

// patience is how long a plugin may take for anything; a measure must not be cut off by it.
const patience = 60 * time.Second

// command is one line of standard input.
type command struct {
	Op string `json:"op"`
	// Of "start": the plugin's program, and how many pods with a container each to tell it of.
	Argv []string `json:"argv"`
	Log  string   `json:"log"`
	Pods int      `json:"pods"`
	// Of "create" and "life": how many to take the time of, and how many to do before that.
	Count  int `json:"count"`
	WarmUp int `json:"warm_up"`
	// Of these and of "claim": what the pod is given; nothing makes a container that asks for nothing.
	Netns   string      `json:"netns"`
	Devices []netDevice `json:"devices"`
	// Of "claim" and "release": a name for the container.
	Name string `json:"name"`
}

// answer is one line of standard output.
type answer struct {
	Pid           int     `json:"pid,omitempty"`
	RegisteredMs  float64 `json:"registered_ms,omitempty"`
	SynchronizeMs float64 `json:"synchronize_ms,omitempty"`
	// Of "create" and "life": how long RunPodSandbox of each pod took, then CreateContainer or all events after it.
	RunPodNs []int64 `json:"run_pod_ns,omitempty"`
	RestNs   []int64 `json:"rest_ns,omitempty"`
	// Of whatever failed.
	Error string `json:"error,omitempty"`
}

type engine struct {
	*adaptation.Adaptation
	socket string
	plugin *pluginProcess
	synced chan syncTimes
	pods   int
	seq    int
}

func newEngine(directory string) (*engine, error) {
	e := &engine{socket: filepath.Join(directory, "nri.sock"), synced: make(chan syncTimes, 1)}
	log.Set(quiet{})
	adaptation.SetPluginRegistrationTimeout(patience)
	adaptation.SetPluginRequestTimeout(patience)
	none := func(context.Context, []*adaptation.ContainerUpdate) ([]*adaptation.ContainerUpdate, error) {
		return nil, nil
	}
	var err error
	e.Adaptation, err = adaptation.New("containerd", "2.3.0", e.synchronize, none,
		adaptation.WithSocketPath(e.socket),
		adaptation.WithPluginPath(filepath.Join(directory, "plugins")),
		adaptation.WithPluginConfigPath(filepath.Join(directory, "conf.d")),
	)
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		return nil, err
	}
	<-e.synced // of the plugins that an engine launches itself, of which there are none
	return e, nil
}

func (e *engine) obey(c *command) (*answer, error) {
	switch c.Op {
	case "start":
		return e.start(c)
	case "stop":
		return &answer{}, e.stop()
	case "create":
		return e.repeat(c, e.oneCreate)
	case "life":
		return e.repeat(c, e.oneLife)
	case "claim":
		_, err := e.begin(c, c.subject(c.Name))
		return &answer{}, err
	case "release":
		_, err := e.finish(c, c.subject(c.Name))
		return &answer{}, err
	}
	return nil, fmt.Errorf("no such op: %q", c.Op)
}

// repeat does one thing many times and notes how long each took. The garbage of this process is collected in between
// commands only, so that it is in no plugin's figures.
func (e *engine) repeat(c *command, once func(*command) (lap, error)) (*answer, error) {
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(percent)
	result := &answer{}
	for i := range c.WarmUp + c.Count {
		took, err := once(c)
		if err != nil {
			return nil, err
		}
		if i >= c.WarmUp {
			result.RunPodNs = append(result.RunPodNs, took.runPod.Nanoseconds())
			result.RestNs = append(result.RestNs, took.rest.Nanoseconds())
		}
		if i%500 == 499 {
			runtime.GC()
		}
	}
	return result, nil
}

func run() error {
	directory := flag.String("directory", "", "where the socket nri.sock is made")
	flag.Parse()
	e, err := newEngine(*directory)
	if err != nil {
		return err
	}
	defer e.stop()
	out := json.NewEncoder(os.Stdout)
	for in := json.NewDecoder(os.Stdin); in.More(); {
		c := &command{}
		if err := in.Decode(c); err != nil {
			return err
		}
		result, err := e.obey(c)
		if err != nil {
			result = &answer{Error: err.Error()}
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// quiet is NRI's logger, and says nothing: what it would cost to write is no plugin's.
type quiet struct{}

func (quiet) Debugf(context.Context, string, ...any) {}
func (quiet) Infof(context.Context, string, ...any)  {}
func (quiet) Warnf(context.Context, string, ...any)  {}
func (quiet) Errorf(_ context.Context, format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
