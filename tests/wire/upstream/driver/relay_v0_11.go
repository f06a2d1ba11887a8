//go:build nri_v0_11

package main

import (
	"context"
	"fmt"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

// relay sends an event that has nothing to return; up to NRI 0.11 each is a StateChange.
func relay(ctx context.Context, a *adaptation.Adaptation, op string, pod *api.PodSandbox, ctr *api.Container) error {
	forPod := map[string]func(context.Context, *api.StateChangeEvent) error{
		"RunPodSandbox":        a.RunPodSandbox,
		"PostUpdatePodSandbox": a.PostUpdatePodSandbox,
		"StopPodSandbox":       a.StopPodSandbox,
		"RemovePodSandbox":     a.RemovePodSandbox,
	}
	forContainer := map[string]func(context.Context, *api.StateChangeEvent) error{
		"PostCreateContainer": a.PostCreateContainer,
		"StartContainer":      a.StartContainer,
		"PostStartContainer":  a.PostStartContainer,
		"PostUpdateContainer": a.PostUpdateContainer,
		"RemoveContainer":     a.RemoveContainer,
	}
	if send, ok := forPod[op]; ok {
		return send(ctx, &api.StateChangeEvent{Pod: pod})
	}
	if send, ok := forContainer[op]; ok {
		return send(ctx, &api.StateChangeEvent{Pod: pod, Container: ctr})
	}
	return fmt.Errorf("no such op: %q", op)
}
