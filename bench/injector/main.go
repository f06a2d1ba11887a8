// A plugin on upstream's stub that does for each container what upstream's device-injector does at its default
// verbosity: it looks for the eight kinds of that plugin's annotations, logs each that is absent at a level that is not
// printed, injects the network devices asked for, logs each of those to standard error, and always answers with an
// adjustment. It checks, verifies and remembers nothing, as the device-injector does not either. The other seven kinds
// are refused where they are found, for nothing in the benchmark asks for them.
//
// It is what the benchmark compares with, because the device-injector itself is a nested Go module without a tag,
// which Go's module proxy does not give.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
	log "github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

// kind is one thing that containers can ask for.
type kind struct {
	name    string
	domains []string
	// inject adds to an adjustment what the text of an annotation asks for.
	inject func(container string, text []byte, adjust *api.ContainerAdjustment) error
}

// both are the domains of annotations, the new one before the old.
var both = []string{".noderesource.dev", ".nri.io"}

// kinds are in the order in which they are looked for.
var kinds = []kind{
	{"devices", both, refuse},
	{"cdi-devices", both, refuse},
	{"mounts", both, refuse},
	{"io-priority", both, refuse},
	{"scheduling-policy", both, refuse},
	{"network-devices", both, injectNetDevices},
	{"sysctl", both[:1], refuse},
	{"memory-policy", both, refuse},
}

// lookup returns the text of a kind's first annotation whose key ends so, or nil.
func (k *kind) lookup(annotations map[string]string, tails []string) []byte {
	for _, tail := range tails {
		for _, domain := range k.domains {
			if text, ok := annotations[k.name+domain+tail]; ok {
				return []byte(text)
			}
		}
	}
	return nil
}

// plugin handles CreateContainer, and so subscribes to nothing else.
type plugin struct{}

func (*plugin) CreateContainer(
	_ context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	adjust := &api.ContainerAdjustment{}
	tails := []string{"/container." + container.Name, "/pod", ""}
	for _, k := range kinds {
		text := k.lookup(pod.Annotations, tails)
		if text == nil {
			log.Debugf("%s asks for no %s", fullName(pod, container), k.name)
			continue
		}
		if err := k.inject(fullName(pod, container), text, adjust); err != nil {
			return nil, nil, fmt.Errorf("annotation %s %q: %w", k.name, text, err)
		}
	}
	return adjust, nil, nil
}

func fullName(pod *api.PodSandbox, container *api.Container) string {
	return pod.Name + "/" + container.Name
}

// netDevice is one entry of an annotation.
type netDevice struct {
	HostIf string `json:"hostIf"`
	Name   string `json:"name"`
}

func injectNetDevices(container string, text []byte, adjust *api.ContainerAdjustment) error {
	var devices []netDevice
	if err := yaml.Unmarshal(text, &devices); err != nil {
		return err
	}
	for _, device := range devices {
		adjust.AddLinuxNetDevice(device.HostIf, &api.LinuxNetDevice{Name: device.Name})
		log.Infof("%s gets interface %q of the host as %q", container, device.HostIf, device.Name)
	}
	return nil
}

func refuse(string, []byte, *api.ContainerAdjustment) error {
	return errors.New("the benchmark's plugin has none")
}

func main() {
	socket := flag.String("socket", "/var/run/nri/nri.sock", "the engine's")
	flag.Parse()
	log.SetFormatter(&log.TextFormatter{PadLevelText: true})
	s, err := stub.New(&plugin{}, stub.WithPluginName("injector"), stub.WithPluginIdx("10"), stub.WithSocketPath(*socket))
	if err == nil {
		err = s.Run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
}
