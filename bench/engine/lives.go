package main

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/nri/pkg/api"
)

func (e *engine) next(c *command) *subject {
	e.seq++
	return c.subject(fmt.Sprintf("%08x", e.seq))
}

// create asks for a container and sees that it gets what it asks for.
func (e *engine) create(s *subject) (time.Duration, error) {
	request := &api.CreateContainerRequest{Pod: s.pod, Container: s.container}
	begin := time.Now()
	reply, err := e.CreateContainer(context.Background(), request)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	given := reply.Adjust.GetLinux().GetNetDevices()
	if e.plugin != nil && len(given) != len(s.devices) {
		return 0, fmt.Errorf("%d interfaces were asked for, %d given", len(s.devices), len(given))
	}
	return took, nil
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

// oneCreate takes the time of CreateContainer alone; the container then ends without ever having run.
func (e *engine) oneCreate(c *command) (time.Duration, error) {
	s := e.next(c)
	took, err := e.create(s)
	if err != nil {
		return 0, err
	}
	_, err = e.end(s)
	return took, err
}

// begin creates and starts a container that gets its interfaces. What the runtime does in between is not timed.
func (e *engine) begin(c *command, s *subject) (time.Duration, error) {
	created, err := e.create(s)
	if err != nil {
		return 0, err
	}
	if err := moveIn(c.Netns, c.Devices); err != nil {
		return 0, err
	}
	started, err := e.startContainer(s)
	return created + started, err
}

// finish ends it. What the plugin leaves in the pod is brought home, and not timed.
func (e *engine) finish(c *command, s *subject) (time.Duration, error) {
	ended, err := e.end(s)
	if err != nil {
		return 0, err
	}
	return ended, moveOut(c.Netns, c.Devices)
}

// oneLife takes the time of every event of a container that gets its interfaces, from CreateContainer to
// RemovePodSandbox.
func (e *engine) oneLife(c *command) (time.Duration, error) {
	s := e.next(c)
	begun, err := e.begin(c, s)
	if err != nil {
		return 0, err
	}
	ended, err := e.finish(c, s)
	return begun + ended, err
}

// oneQuietLife is six events of a container that is moved nowhere.
func (e *engine) oneQuietLife(c *command) (time.Duration, error) {
	s := e.next(c)
	created, err := e.create(s)
	if err != nil {
		return 0, err
	}
	if len(s.devices) == 0 {
		if _, err := e.startContainer(s); err != nil {
			return 0, err
		}
	}
	ended, err := e.end(s)
	return created + ended, err
}
