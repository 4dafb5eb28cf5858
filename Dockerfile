# initd and the tool that inspects and controls it, in an image of nothing else:
#
#	docker build -t initd .
#
# Another image takes them with `COPY --from=initd /initd /initctl /`. BuildKit is not needed.
#
# Without a registry, name an image that the engine has as BUILDER. Any with Go 1.26 will do, even one without a shell;
# where its module cache has what go.mod names, no network is needed:
#
#	docker build --build-arg BUILDER=IMAGE -t initd .
#
# Without any image, build the two files with Go, and from them the same image with the last stage alone:
#
#	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -ldflags='./cmd/initd=-s -w -buildid= -E=_rt0_initd' -o /tmp/initd/out/ ./cmd/initd ./cmd/initctl
#	sed '/^FROM scratch/,$!d; s/--from=build //' Dockerfile | docker build -t initd -f - /tmp/initd
#
# Without building an image, have the two files in a container before it starts, or in a volume:
#
#	docker create --name NAME --entrypoint /initd IMAGE COMMAND && docker cp /tmp/initd/out/. NAME:/ && docker start NAME
#	docker run --rm --user 0 -v initd:/to --entrypoint /initctl initd install /to
#
# In Kubernetes, an init container does the latter: deploy/kubernetes/components/init-container.
ARG BUILDER=golang:1.26
# Nothing but a message: the classic builder prints it before the failure, and BuildKit among the lines around the failure.
ARG IF_NO_REGISTRY_ANSWERS="docker build --build-arg BUILDER=IMAGE-WITH-GO-1.26 .  Without such an image: see the top of this Dockerfile."
FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
ENV CGO_ENABLED=0
# The same sources make the same bytes, wherever and whenever they are built. Of the -ldflags, the last that matches a
# package is its; -E has initd catch signals before the Go runtime does (package entry).
RUN ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-ldflags=./cmd/initd=-s -w -buildid= -E=_rt0_initd", "-o", "/out/", "./cmd/initd", "./cmd/initctl"]

FROM scratch
LABEL org.opencontainers.image.title="initd" \
      org.opencontainers.image.description="PID 1 for containers that replaces a server with a new version of it without losing a connection" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/initd /out/initctl /
# By number, as there is no /etc/passwd here, and as runAsNonRoot of Kubernetes wants it.
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/initd"]
