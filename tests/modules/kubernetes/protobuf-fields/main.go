// Prints the table by which the sandbox reads protobuf (src/sandbox/protobuf/fields.txt): the fields of every message that an object
// of its kinds can hold, from the struct tags of Kubernetes' own types.
//
//	cd tests/modules/kubernetes && go run ./protobuf-fields > ../../../src/sandbox/protobuf/fields.txt
package main

import (
	"fmt"
	"path"
	"reflect"
	"sort"
	"strings"

	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var roots = []any{
	core.ConfigMap{}, core.Event{}, core.Namespace{}, core.Node{}, core.Pod{}, core.Secret{}, core.Service{},
	coordination.Lease{}, discovery.EndpointSlice{}, events.Event{}, meta.DeleteOptions{},
}

// Their JSON is not that of their fields; the sandbox knows them by name.
var special = map[string]bool{
	"meta/v1.Time": true, "meta/v1.MicroTime": true, "meta/v1.FieldsV1": true, "resource.Quantity": true, "intstr.IntOrString": true,
}

var lines = map[string]string{}

func name(t reflect.Type) string {
	folder, last := path.Split(t.PkgPath())
	if strings.HasPrefix(last, "v1") {
		last = path.Base(folder) + "/" + last
	}
	return last + "." + t.Name()
}

// What a value is: s text, i integer, b truth, y bytes, or the name of a message.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int32, reflect.Int64, reflect.Uint8:
		return "i"
	case reflect.Struct:
		describe(t)
		return name(t)
	}
	panic(t.String())
}

func describe(t reflect.Type) {
	message := name(t)
	if _, known := lines[message]; known || special[message] {
		return
	}
	lines[message] = ""
	line := message
	for i := range t.NumField() {
		field := t.Field(i)
		proto, json := strings.Split(field.Tag.Get("protobuf"), ","), strings.Split(field.Tag.Get("json"), ",")
		if len(proto) < 2 {
			continue // TypeMeta, which goes beside the object
		}
		of, sign := field.Type, ""
		switch {
		case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Uint8:
			line += fmt.Sprintf(" %s:%s=y", proto[1], json[0])
			continue
		case of.Kind() == reflect.Slice:
			of, sign = of.Elem(), "[]"
		case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Slice:
			line += fmt.Sprintf(" %s:%s={}y", proto[1], json[0])
			continue
		case of.Kind() == reflect.Map:
			of, sign = of.Elem(), "{}"
		case of.Kind() == reflect.Pointer:
			of, sign = of.Elem(), "?"
		case !strings.Contains(field.Tag.Get("json"), "omitempty"):
			sign = "?"
		}
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		line += fmt.Sprintf(" %s:%s=%s%s", proto[1], json[0], sign, kind(of))
	}
	lines[message] = line
}

func main() {
	for _, root := range roots {
		describe(reflect.TypeOf(root))
	}
	var sorted []string
	for _, line := range lines {
		sorted = append(sorted, line)
	}
	sort.Strings(sorted)
	fmt.Println("# Made by tests/modules/kubernetes/protobuf-fields; do not edit. MESSAGE NUMBER:NAME=TYPE..., where a type is s text, i integer,")
	fmt.Println("# b truth, y bytes or a message; ? before it: shown though it is zero, [] list, {} map. A field without a name is inlined.")
	for _, line := range sorted {
		fmt.Println(line)
	}
}
