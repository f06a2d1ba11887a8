// A stand-in for a container engine, on NRI's own engine side.
//
// It listens for plugins as containerd does and obeys commands, one JSON object each, on standard input:
//
//	{"id": 1, "op": "CreateContainer", "pod": {…}, "container": {…}}
//
// The op is the name of an event, or "State" for what Synchronize tells the plugins that connect later. It
// answers on standard output, one JSON object a line, with the id and either a result or an error; lines
// without an id are what NRI logs. The end of standard input ends it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/adaptation/builtin"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/log"
	"github.com/containerd/nri/pkg/runtime-tools/generate"
	validator "github.com/containerd/nri/plugins/default-validator/builtin"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	rgen "github.com/opencontainers/runtime-tools/generate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// command is one line of standard input.
type command struct {
	ID        int             `json:"id"`
	Op        string          `json:"op"`
	Pod       json.RawMessage `json:"pod"`
	Container json.RawMessage `json:"container"`
	// Of "State": how many of each to make up, and how large.
	Pods       int `json:"pods"`
	Containers int `json:"containers"`
	Bytes      int `json:"bytes"`
}

// line is one line of standard output.
type line struct {
	ID     int    `json:"id,omitempty"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	Log    string `json:"log,omitempty"`
}

// created is the result of CreateContainer.
type created struct {
	Adjust json.RawMessage `json:"adjust"`
	Spec   *rspec.Spec     `json:"spec"`
	// Names of the plugins that were in the order of calls.
	Consulted []string `json:"consulted"`
}

// printer writes lines whole; it is also NRI's logger.
type printer struct {
	sync.Mutex
	*json.Encoder
}

func (p *printer) print(l line) {
	p.Lock()
	defer p.Unlock()
	if err := p.Encode(l); err != nil {
		os.Exit(1)
	}
}

func (p *printer) log(format string, args []any) {
	p.print(line{Log: fmt.Sprintf(format, args...)})
}

func (p *printer) Debugf(_ context.Context, format string, args ...any) { p.log(format, args) }
func (p *printer) Infof(_ context.Context, format string, args ...any)  { p.log(format, args) }
func (p *printer) Warnf(_ context.Context, format string, args ...any)  { p.log(format, args) }
func (p *printer) Errorf(_ context.Context, format string, args ...any) { p.log(format, args) }

// engine is what a real one has around NRI: pods, containers, specs.
type engine struct {
	*adaptation.Adaptation
	sync.Mutex
	pods       []*api.PodSandbox
	containers []*api.Container
	consulted  map[string][]string
}

func (e *engine) synchronize(ctx context.Context, cb adaptation.SyncCB) error {
	e.Lock()
	pods, containers := e.pods, e.containers
	e.Unlock()
	_, err := cb(ctx, pods, containers)
	return err
}

// update does nothing, and fails for containers whose id begins with "absent".
func (e *engine) update(_ context.Context, updates []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) {
	var failed []*api.ContainerUpdate
	for _, u := range updates {
		if strings.HasPrefix(u.ContainerId, "absent") {
			failed = append(failed, u)
		}
	}
	return failed, nil
}

// validate notes which plugins were consulted, and rejects nothing.
func (e *engine) validate(_ context.Context, req *api.ValidateContainerAdjustmentRequest) error {
	names := []string{}
	for _, p := range req.Plugins {
		if p.Index != "00" {
			names = append(names, p.Index+"-"+p.Name)
		}
	}
	e.Lock()
	defer e.Unlock()
	e.consulted[req.Container.Id] = names
	return nil
}

func (e *engine) setState(c *command) {
	pods := make([]*api.PodSandbox, c.Pods)
	for i := range pods {
		id := fmt.Sprintf("pod-%d", i)
		pods[i] = &api.PodSandbox{Id: id, Name: id, Annotations: payload(c.Bytes)}
	}
	containers := make([]*api.Container, c.Containers)
	for i := range containers {
		id := fmt.Sprintf("ctr-%d", i)
		containers[i] = &api.Container{
			Id:           id,
			Name:         id,
			PodSandboxId: fmt.Sprintf("pod-%d", i%max(c.Pods, 1)),
			Annotations:  payload(c.Bytes),
		}
	}
	e.Lock()
	defer e.Unlock()
	e.pods, e.containers = pods, containers
}

func payload(size int) map[string]string {
	return map[string]string{"example.org/payload": strings.Repeat("x", size)}
}

func (e *engine) createContainer(ctx context.Context, pod *api.PodSandbox, ctr *api.Container) (*created, error) {
	// NRI adds adjustments to the container it is given; the spec is made of what was asked for.
	spec := &rspec.Spec{
		Version: rspec.Version,
		Process: &rspec.Process{Args: ctr.Args, Env: ctr.Env},
		Linux:   &rspec.Linux{},
	}
	rpl, err := e.CreateContainer(ctx, &api.CreateContainerRequest{
		Pod: pod, Container: proto.Clone(ctr).(*api.Container),
	})
	if err != nil {
		return nil, err
	}
	adjust, err := protojson.Marshal(rpl.Adjust)
	if err != nil {
		return nil, err
	}
	gen := rgen.NewFromSpec(spec)
	if err := generate.SpecGenerator(&gen).Adjust(rpl.Adjust); err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	e.Lock()
	defer e.Unlock()
	names := e.consulted[ctr.Id]
	delete(e.consulted, ctr.Id)
	return &created{Adjust: adjust, Spec: spec, Consulted: names}, nil
}

func decode(data json.RawMessage, into proto.Message) error {
	if len(data) == 0 {
		return nil
	}
	return protojson.Unmarshal(data, into)
}

func (e *engine) obey(ctx context.Context, c *command) (any, error) {
	pod, ctr := &api.PodSandbox{}, &api.Container{}
	if err := errors.Join(decode(c.Pod, pod), decode(c.Container, ctr)); err != nil {
		return nil, err
	}
	switch c.Op {
	case "State":
		e.setState(c)
		return nil, nil
	case "CreateContainer":
		return e.createContainer(ctx, pod, ctr)
	case "UpdateContainer":
		return e.UpdateContainer(ctx, &api.UpdateContainerRequest{
			Pod: pod, Container: ctr, LinuxResources: &api.LinuxResources{},
		})
	case "StopContainer":
		return e.StopContainer(ctx, &api.StopContainerRequest{Pod: pod, Container: ctr})
	case "UpdatePodSandbox":
		return e.UpdatePodSandbox(ctx, &api.UpdatePodSandboxRequest{Pod: pod})
	}
	return nil, relay(ctx, e.Adaptation, c.Op, pod, ctr)
}

func run() error {
	directory := flag.String("directory", "", "where the socket nri.sock is made")
	name := flag.String("runtime-name", "containerd", "what the plugins are told")
	version := flag.String("runtime-version", "", "what the plugins are told")
	registration := flag.Duration("registration-timeout", 5*time.Second, "patience until RegisterPlugin")
	request := flag.Duration("request-timeout", 2*time.Second, "patience with each request")
	required := flag.String("required-plugins", "", "names, separated by commas; turns on the default validator")
	flag.Parse()

	out := &printer{Encoder: json.NewEncoder(os.Stdout)}
	log.Set(out)
	adaptation.SetPluginRegistrationTimeout(*registration)
	adaptation.SetPluginRequestTimeout(*request)

	e := &engine{consulted: map[string][]string{}}
	options := []adaptation.Option{
		adaptation.WithSocketPath(filepath.Join(*directory, "nri.sock")),
		adaptation.WithPluginPath(filepath.Join(*directory, "plugins")),
		adaptation.WithPluginConfigPath(filepath.Join(*directory, "conf.d")),
		adaptation.WithBuiltinPlugins(&builtin.BuiltinPlugin{
			Base: "stand-in", Index: "00",
			Handlers: builtin.BuiltinHandlers{ValidateContainerAdjustment: e.validate},
		}),
	}
	if *required != "" {
		options = append(options, adaptation.WithDefaultValidator(&validator.DefaultValidatorConfig{
			Enable: true, RequiredPlugins: strings.Split(*required, ","),
		}))
	}
	var err error
	if e.Adaptation, err = adaptation.New(*name, *version, e.synchronize, e.update, options...); err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return err
	}
	out.print(line{Log: "ready"})

	for in := json.NewDecoder(os.Stdin); in.More(); {
		c := &command{}
		if err := in.Decode(c); err != nil {
			return err
		}
		go func() {
			result, err := e.obey(context.Background(), c)
			answer := line{ID: c.ID, Result: result}
			if err != nil {
				answer = line{ID: c.ID, Error: err.Error()}
			}
			out.print(answer)
		}()
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
