// A plugin on upstream's stub that does the device-injector's work for network devices: it looks for that plugin's
// annotations of a pod, reads the list in them, and asks the engine for what it finds. It checks, verifies and
// remembers nothing, as the device-injector does not either.
//
// It is what the benchmark compares with, because the device-injector itself is a nested Go module without a tag,
// which Go's module proxy does not give.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	"sigs.k8s.io/yaml"
)

const containerKeyPrefix = "/container."

var prefixes = []string{"network-devices.noderesource.dev", "network-devices.nri.io"}

// netDevice is one entry of an annotation.
type netDevice struct {
	HostIf string `json:"hostIf"`
	Name   string `json:"name"`
}

// plugin handles CreateContainer, and so subscribes to nothing else.
type plugin struct{}

func (*plugin) CreateContainer(
	_ context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	devices, err := parse(container.Name, pod.Annotations)
	if err != nil || len(devices) == 0 {
		return nil, nil, err
	}
	adjust := &api.ContainerAdjustment{}
	for _, device := range devices {
		adjust.AddLinuxNetDevice(device.HostIf, &api.LinuxNetDevice{Name: device.Name})
	}
	return adjust, nil, nil
}

// parse reads the first of the annotations that speak to a container.
func parse(container string, annotations map[string]string) ([]netDevice, error) {
	for _, tail := range []string{containerKeyPrefix + container, "/pod", ""} {
		for _, prefix := range prefixes {
			text, ok := annotations[prefix+tail]
			if !ok {
				continue
			}
			var devices []netDevice
			if err := yaml.Unmarshal([]byte(text), &devices); err != nil {
				return nil, fmt.Errorf("invalid annotation %q: %w", prefix+tail, err)
			}
			return devices, nil
		}
	}
	return nil, nil
}

func main() {
	socket := flag.String("socket", "/var/run/nri/nri.sock", "the engine's")
	flag.Parse()
	s, err := stub.New(&plugin{}, stub.WithPluginName("injector"), stub.WithPluginIdx("10"), stub.WithSocketPath(*socket))
	if err == nil {
		err = s.Run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
