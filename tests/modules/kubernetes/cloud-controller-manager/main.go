// Command cloud-controller-manager is upstream's service controller over a cloud that exists only in memory. Since 1.31 no
// Kubernetes binary contains that controller, but clouds do: it serves every LoadBalancer Service without a class, and cleans up
// by the standard finalizer whatever the class is. Portolan must live beside it.
package main

import (
	"net"
	"os"

	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/fake"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
)

// address is what the cloud gives to everybody. The suite knows the CCM's work by it.
const address = "192.0.2.77"

func main() {
	opts, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		klog.Fatal(err)
	}
	controllers := map[string]app.ControllerInitFuncConstructor{
		names.ServiceLBController: app.DefaultInitFuncConstructors[names.ServiceLBController],
	}
	command := app.NewCloudControllerManagerCommand(
		opts, cloud, controllers, names.CCMControllerAliases(), cliflag.NamedFlagSets{}, wait.NeverStop)
	os.Exit(cli.Run(command))
}

// cloud has a balancer for whoever asks: `Exists` makes the controller delete it for real instead of passing over it.
func cloud(*config.CompletedConfig) cloudprovider.Interface {
	return &fake.Cloud{Exists: true, ExternalIP: net.ParseIP(address)}
}
