package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/containerd/nri/pkg/api"
)

const (
	containerName = "main"
	annotationKey = "network-devices.noderesource.dev/container." + containerName
	envCount      = 40
	mountCount    = 14
)

// netDevice is one entry of the annotation.
type netDevice struct {
	HostIf string `json:"hostIf"`
	Name   string `json:"name"`
}

// subject is a pod with one container.
type subject struct {
	pod       *api.PodSandbox
	container *api.Container
	devices   []netDevice
}

// subject makes a pod with one container that is as large as those of a real node.
func (c *command) subject(name string) *subject {
	s := &subject{pod: newPod(name, c.Netns), container: newContainer(name), devices: c.Devices}
	if len(c.Devices) > 0 {
		text, err := json.Marshal(c.Devices) // JSON is YAML
		if err != nil {
			panic(err)
		}
		s.pod.Annotations[annotationKey] = string(text)
	}
	return s
}

// population is what Synchronize tells: so many pods of one running container, none of which asks for anything.
func population(count int) ([]*api.PodSandbox, []*api.Container) {
	pods, containers := make([]*api.PodSandbox, count), make([]*api.Container, count)
	for i := range count {
		name := fmt.Sprintf("resident-%d", i)
		pods[i], containers[i] = newPod(name, "/run/netns/"+name), newContainer(name)
		containers[i].State = api.ContainerState_CONTAINER_RUNNING
		containers[i].Pid = uint32(1 << 22)
	}
	return pods, containers
}

func newPod(name, netns string) *api.PodSandbox {
	return &api.PodSandbox{
		Id: hex("pod", name), Name: "pod-" + name, Uid: hex("uid", name)[:36], Namespace: "default",
		Labels: map[string]string{
			"app.kubernetes.io/name": "bench", "app.kubernetes.io/part-of": "bench", "pod-template-hash": "6d4cf56db6",
			"io.kubernetes.pod.name": "pod-" + name, "io.kubernetes.pod.namespace": "default",
			"io.kubernetes.pod.uid": hex("uid", name)[:36],
		},
		Annotations: map[string]string{
			"kubernetes.io/config.seen": "2026-01-01T00:00:00.000000000Z", "kubernetes.io/config.source": "api",
			"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
			"cni.example.org/podIP": "10.244.1.17/32", "checksum/config": hex("checksum", name),
		},
		Linux: &api.LinuxPodSandbox{
			CgroupParent: "/kubepods/burstable/pod" + hex("uid", name)[:36],
			Namespaces: []*api.LinuxNamespace{
				{Type: "ipc"}, {Type: "uts"}, {Type: "mount"}, {Type: "pid"}, {Type: "network", Path: netns},
			},
		},
	}
}

func newContainer(name string) *api.Container {
	c := &api.Container{
		Id: hex("container", name), PodSandboxId: hex("pod", name), Name: containerName,
		State: api.ContainerState_CONTAINER_CREATED,
		Labels: map[string]string{
			"io.kubernetes.container.name": containerName, "io.kubernetes.pod.name": "pod-" + name,
			"io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": hex("uid", name)[:36],
		},
		Annotations: map[string]string{
			"io.kubernetes.container.hash": "7d1c9e5b", "io.kubernetes.container.restartCount": "0",
			"io.kubernetes.container.terminationMessagePath":   "/dev/termination-log",
			"io.kubernetes.container.terminationMessagePolicy": "File",
			"io.kubernetes.pod.terminationGracePeriod":         "30",
			"io.kubernetes.cri.image-name":                     "registry.example.org/team/application:1.27.3",
		},
		Args: []string{"/usr/bin/application", "--config=/etc/application/config.yaml", "--verbose"},
		Linux: &api.LinuxContainer{
			CgroupsPath: "/kubepods/burstable/pod" + hex("uid", name)[:36] + "/" + hex("container", name),
			Resources: &api.LinuxResources{
				Cpu:    &api.LinuxCPU{Shares: api.UInt64(1024), Quota: api.Int64(200000), Period: api.UInt64(100000)},
				Memory: &api.LinuxMemory{Limit: api.Int64(512 << 20)},
			},
			Namespaces: []*api.LinuxNamespace{{Type: "pid"}, {Type: "mount"}, {Type: "network"}},
		},
	}
	for i := range envCount {
		c.Env = append(c.Env, fmt.Sprintf("SERVICE_%d_PORT_8080_TCP_ADDR=10.96.%d.%d", i, i, 200-i))
	}
	for i := range mountCount {
		c.Mounts = append(c.Mounts, &api.Mount{
			Destination: fmt.Sprintf("/var/lib/application/volume-%d", i), Type: "bind",
			Source:  fmt.Sprintf("/var/lib/kubelet/pods/%s/volumes/kubernetes.io~secret/volume-%d", hex("uid", name)[:36], i),
			Options: []string{"rbind", "rprivate", "ro"},
		})
	}
	return c
}

// hex is an id as engines make them: 64 digits, always the same for a name.
func hex(kind, name string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(kind+"-"+name)))
}
