//go:build !nri_v0_11

package main

import (
	"context"
	"fmt"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
)

// relay sends an event that has nothing to return; since NRI 0.12 each is an rpc.
func relay(ctx context.Context, a *adaptation.Adaptation, op string, pod *api.PodSandbox, ctr *api.Container) error {
	switch op {
	case "RunPodSandbox":
		return a.RunPodSandbox(ctx, &api.RunPodSandboxRequest{Pod: pod})
	case "PostUpdatePodSandbox":
		return a.PostUpdatePodSandbox(ctx, &api.PostUpdatePodSandboxRequest{Pod: pod})
	case "StopPodSandbox":
		return a.StopPodSandbox(ctx, &api.StopPodSandboxRequest{Pod: pod})
	case "RemovePodSandbox":
		return a.RemovePodSandbox(ctx, &api.RemovePodSandboxRequest{Pod: pod})
	case "PostCreateContainer":
		return a.PostCreateContainer(ctx, &api.PostCreateContainerRequest{Pod: pod, Container: ctr})
	case "StartContainer":
		return a.StartContainer(ctx, &api.StartContainerRequest{Pod: pod, Container: ctr})
	case "PostStartContainer":
		return a.PostStartContainer(ctx, &api.PostStartContainerRequest{Pod: pod, Container: ctr})
	case "PostUpdateContainer":
		return a.PostUpdateContainer(ctx, &api.PostUpdateContainerRequest{Pod: pod, Container: ctr})
	case "RemoveContainer":
		return a.RemoveContainer(ctx, &api.RemoveContainerRequest{Pod: pod, Container: ctr})
	}
	return fmt.Errorf("no such op: %q", op)
}
