package main

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/nri/pkg/api"
)

// untilCreate is how long a pod that asks for something is there before its container is created. Kubelet and engine
// take tens of milliseconds for that, in which nobody waits for a plugin. Here it is less: long enough that processes
// have gone idle, no more time than any node gives, and a run that ends.
const untilCreate = 10 * time.Millisecond

// lap is how long the events of one container took: the first, RunPodSandbox, and those after it that an op is of.
type lap struct{ runPod, rest time.Duration }

func (e *engine) next(c *command) *subject {
	e.seq++
	return c.subject(fmt.Sprintf("%08x", e.seq))
}

// create tells of a new pod, later asks for its container, and sees that it gets what it asks for.
func (e *engine) create(s *subject) (lap, error) {
	runPod, err := e.timed(func(ctx context.Context) error {
		return e.RunPodSandbox(ctx, &api.RunPodSandboxRequest{Pod: s.pod})
	})
	if err != nil {
		return lap{}, err
	}
	if len(s.devices) > 0 {
		time.Sleep(untilCreate)
	}
	var given int
	took, err := e.timed(func(ctx context.Context) error {
		reply, err := e.CreateContainer(ctx, &api.CreateContainerRequest{Pod: s.pod, Container: s.container})
		given = len(reply.GetAdjust().GetLinux().GetNetDevices())
		return err
	})
	if err == nil && e.plugin != nil && given != len(s.devices) {
		err = fmt.Errorf("%d interfaces were asked for, %d given", len(s.devices), given)
	}
	return lap{runPod, took}, err
}

// end tells of the end of a container, then of its pod's.
func (e *engine) end(s *subject) (time.Duration, error) {
	return e.timed(
		func(ctx context.Context) error {
			_, err := e.StopContainer(ctx, &api.StopContainerRequest{Pod: s.pod, Container: s.container})
			return err
		},
		func(ctx context.Context) error {
			return e.RemoveContainer(ctx, &api.RemoveContainerRequest{Pod: s.pod, Container: s.container})
		},
		func(ctx context.Context) error {
			return e.StopPodSandbox(ctx, &api.StopPodSandboxRequest{Pod: s.pod})
		},
		func(ctx context.Context) error {
			return e.RemovePodSandbox(ctx, &api.RemovePodSandboxRequest{Pod: s.pod})
		},
	)
}

func (e *engine) startContainer(s *subject) (time.Duration, error) {
	return e.timed(func(ctx context.Context) error {
		return e.StartContainer(ctx, &api.StartContainerRequest{Pod: s.pod, Container: s.container})
	})
}

func (e *engine) timed(calls ...func(context.Context) error) (time.Duration, error) {
	begin := time.Now()
	for _, call := range calls {
		if err := call(context.Background()); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// oneCreate is timed up to CreateContainer; the container then ends without ever having run.
func (e *engine) oneCreate(c *command) (lap, error) {
	s := e.next(c)
	created, err := e.create(s)
	if err != nil {
		return lap{}, err
	}
	_, err = e.end(s)
	return created, err
}

// begin creates and starts a container that gets its interfaces. What the runtime does in between is not timed.
func (e *engine) begin(c *command, s *subject) (lap, error) {
	created, err := e.create(s)
	if err != nil {
		return lap{}, err
	}
	if err := move(moveIn).each(c); err != nil {
		return lap{}, err
	}
	started, err := e.startContainer(s)
	return lap{created.runPod, created.rest + started}, err
}

// finish ends it. What the plugin leaves in the pod is brought home, and not timed.
func (e *engine) finish(c *command, s *subject) (time.Duration, error) {
	ended, err := e.end(s)
	if err != nil {
		return 0, err
	}
	return ended, move(moveOut).each(c)
}

// oneLife is timed to its end: all seven events of a container that gets its interfaces.
func (e *engine) oneLife(c *command) (lap, error) {
	s := e.next(c)
	begun, err := e.begin(c, s)
	if err != nil {
		return lap{}, err
	}
	ended, err := e.finish(c, s)
	return lap{begun.runPod, begun.rest + ended}, err
}
