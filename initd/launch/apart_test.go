package launch

import (
	"reflect"
	"testing"
)

func TestApart(t *testing.T) {
	const all = "         0          0 4294967295\n"
	tests := map[string]struct {
		credential Credential
		mapped     string
		want       Credential
	}{
		"usual":       {Credential{1000, 1000, []uint32{1000, 4}}, all, Credential{UID: 1000, GID: 65534}},
		"nogroup":     {Credential{65534, 65534, nil}, all, Credential{UID: 65534, GID: 65533}},
		"in nogroup":  {Credential{1000, 65533, []uint32{65533, 65534}}, all, Credential{UID: 1000, GID: 65532}},
		"few ids":     {Credential{10, 10, []uint32{10, 19}}, "0 1000 1\n1 100000 19\n", Credential{UID: 10, GID: 18}},
		"no other id": {Credential{1, 1, []uint32{1}}, "0 1000 1\n1 100000 1\n", Credential{1, 1, []uint32{1}}},
		"no map":      {Credential{1, 1, nil}, "", Credential{1, 1, nil}},
	}
	for name, test := range tests {
		if got := test.credential.apart(test.mapped); !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, test.want)
		}
	}
	if got := (&Credential{UID: 1, GID: 1}).Apart(); got.GID == 1 {
		t.Skip("this user namespace has no other group")
	}
}
