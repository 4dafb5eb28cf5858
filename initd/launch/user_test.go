package launch

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLookupUser(t *testing.T) {
	dir := t.TempDir()
	passwd, group, none := filepath.Join(dir, "passwd"), filepath.Join(dir, "group"), filepath.Join(dir, "none")
	os.WriteFile(passwd, []byte(`root:x:0:0:root:/root:/bin/sh

+nis
bad:x:1
worse:x:-1:2:::
www:x:33:34::/var/www:/bin/false
1000:x:7:8:::
lone:x:99:98`), 0o644)
	os.WriteFile(group, []byte(`root:x:0:
adm:x:4:root,www
www:x:34:www
web:x:35:other,www
wwwx:x:36:wwwx,xwww
bad:x:nine:www
big:x:4294967295:www
last:x:37:www`), 0o644)
	tests := []struct {
		spec, passwd, group string
		want                *Credential
		err                 string
	}{
		{spec: "root", want: &Credential{0, 0, []uint32{0, 4}}},
		{spec: "www", want: &Credential{33, 34, []uint32{34, 4, 35, 37}}},
		{spec: "33", want: &Credential{33, 34, []uint32{34, 4, 35, 37}}},
		{spec: "lone", want: &Credential{99, 98, []uint32{98}}},
		{spec: "lone", group: none, want: &Credential{99, 98, []uint32{98}}},
		{spec: "www:web", want: &Credential{33, 35, nil}},
		{spec: "www:4", want: &Credential{33, 4, nil}},
		{spec: "33:web", want: &Credential{33, 35, nil}},
		{spec: "65532", want: &Credential{65532, 65532, nil}},
		{spec: "65532:1", want: &Credential{65532, 1, nil}},
		{spec: "65532", passwd: none, group: none, want: &Credential{65532, 65532, nil}},
		{spec: "65532:65533", passwd: none, group: none, want: &Credential{65532, 65533, nil}},
		{spec: "4294967294", want: &Credential{4294967294, 4294967294, nil}},
		{spec: "nobody", err: `user "nobody": not in ` + passwd},
		{spec: "", err: `user "": not in ` + passwd},
		{spec: ":4", err: `user "": not in ` + passwd},
		{spec: "bad", err: `user "bad": not in ` + passwd},
		{spec: "worse", err: `user "worse": not in ` + passwd},
		{spec: "-1", err: `user "-1": not in ` + passwd},
		{spec: "4294967295", err: `user "4294967295": not in ` + passwd},
		{spec: "4294967296", err: `user "4294967296": not in ` + passwd},
		{spec: "www:", err: `group "": not in ` + group},
		{spec: "www:no", err: `group "no": not in ` + group},
		{spec: "www:bad", err: `group "bad": not in ` + group},
		{spec: "www:4:5", err: `group "4:5": not in ` + group},
		{spec: "www", passwd: none, err: `user "www": open ` + none + ": no such file or directory"},
		{spec: "33:web", group: none, err: `group "web": open ` + none + ": no such file or directory"},
		{spec: "33", passwd: dir, err: `user "33": read ` + dir + ": is a directory"},
		{spec: "33", group: dir, err: `user "33": read ` + dir + ": is a directory"},
	}
	for _, test := range tests {
		if test.passwd == "" {
			test.passwd = passwd
		}
		if test.group == "" {
			test.group = group
		}
		t.Run(strings.Join([]string{test.spec, filepath.Base(test.passwd), filepath.Base(test.group)}, ","), func(t *testing.T) {
			got, err := lookupUser(test.spec, test.passwd, test.group)
			if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %+v, %v\nwant %+v, %s", got, err, test.want, test.err)
			}
		})
	}
}
