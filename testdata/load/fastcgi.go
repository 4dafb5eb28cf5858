package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The types of records, and the role, as the FastCGI Specification has them in sections 3.3 and 5.1.
const (
	beginRequest, endRequest, params, stdin, stdout = 1, 3, 4, 5, 6
	responder                                       = 1
)

// header is what every record begins with (section 3.3).
type header struct {
	Version, Type uint8
	RequestID     uint16
	ContentLength uint16
	PaddingLength uint8
	_             uint8
}

// fastcgi asks for a script over a connection of its own and returns its output.
func fastcgi(dial dial, script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := dial(ctx, "", "")
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))

	var request bytes.Buffer
	record := func(kind uint8, content []byte) {
		binary.Write(&request, binary.BigEndian, header{Version: 1, Type: kind, RequestID: 1, ContentLength: uint16(len(content))})
		request.Write(content)
	}
	record(beginRequest, []byte{0, responder, 0, 0, 0, 0, 0, 0})
	for name, value := range map[string]string{"REQUEST_METHOD": "GET", "SCRIPT_FILENAME": script} {
		// A length below 128 is one byte (section 3.4).
		record(params, append([]byte{byte(len(name)), byte(len(value))}, name+value...))
	}
	record(params, nil)
	record(stdin, nil)
	if _, err := request.WriteTo(c); err != nil {
		return "", err
	}

	// What a script puts out is the answer of an HTTP server but for the first line (RFC 3875, section 6).
	output := bytes.NewBufferString("HTTP/1.0 200 OK\r\n")
	for r := bufio.NewReader(c); ; {
		var h header
		if err := binary.Read(r, binary.BigEndian, &h); err != nil {
			return "", fmt.Errorf("an answer that does not end: %w", err)
		}
		content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
		if _, err := io.ReadFull(r, content); err != nil {
			return "", err
		}
		content = content[:h.ContentLength]
		switch h.Type {
		case stdout:
			output.Write(content)
		case endRequest:
			if len(content) != 8 || content[4] != 0 { // protocolStatus (section 5.5)
				return "", errors.New("the request was not served")
			}
			response, err := http.ReadResponse(bufio.NewReader(output), nil)
			if err != nil {
				return "", err
			}
			if status := response.Header.Get("Status"); status != "" {
				return "", fmt.Errorf("status %s", status)
			}
			return body(response)
		}
	}
}
