package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

// pluginProcess is the plugin that is measured.
type pluginProcess struct {
	*exec.Cmd
	ended chan error
}

// syncTimes tell when a plugin was registered and configured, and how long Synchronize took it.
type syncTimes struct {
	registered time.Time
	took       time.Duration
	err        error
}

// synchronize is called by NRI when a plugin is registered and configured.
func (e *engine) synchronize(ctx context.Context, cb adaptation.SyncCB) error {
	registered := time.Now()
	pods, containers := population(e.pods)
	begin := time.Now()
	_, err := cb(ctx, pods, containers)
	e.synced <- syncTimes{registered: registered, took: time.Since(begin), err: err}
	return err
}

// start runs the plugin and waits until it is synchronized.
func (e *engine) start(c *command) (*answer, error) {
	if e.plugin != nil {
		return nil, errors.New("a plugin runs already")
	}
	e.pods = c.Pods
	output, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := onStarter(cmd.Start); err != nil {
		return nil, err
	}
	p := &pluginProcess{Cmd: cmd, ended: make(chan error, 1)}
	e.plugin = p
	go func() { p.ended <- cmd.Wait() }()
	select {
	case times := <-e.synced:
		if times.err != nil {
			return nil, times.err
		}
		// NRI adds the plugin only now, under its lock; a second call waits for that.
		e.BlockPluginSync().Unblock()
		return &answer{
			Pid:           cmd.Process.Pid,
			RegisteredMs:  milliseconds(times.registered.Sub(begin)),
			SynchronizeMs: milliseconds(times.took),
		}, nil
	case err := <-p.ended:
		e.plugin = nil
		return nil, fmt.Errorf("%s ended: %v", c.Argv[0], err)
	case <-time.After(patience):
		return nil, fmt.Errorf("%s has not registered", c.Argv[0])
	}
}

// stop ends the plugin and has NRI forget it.
func (e *engine) stop() error {
	if e.plugin == nil {
		return nil
	}
	p := e.plugin
	e.plugin = nil
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.Process.Kill()
		return errors.New("the plugin does not end")
	}
	return e.RunPodSandbox(context.Background(), &api.RunPodSandboxRequest{Pod: &api.PodSandbox{Id: "last"}})
}

// starter runs what it is sent on one thread that never ends, because a plugin dies with the thread that started it.
// That is not the thread of the calls: a goroutine that has a thread to itself pays, for each answer it waits for, two
// hand-overs between threads that no real engine pays.
var starter = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for f := range starter {
			f()
		}
	}()
}

func onStarter(f func() error) error {
	done := make(chan error)
	starter <- func() { done <- f() }
	return <-done
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
