# initd and the tool that inspects and controls it, in an image of nothing else:
#
#	COPY --from=IMAGE /initd /initctl /
#
# takes them into another image. Any image with Go 1.26 can stand in for BUILDER, even one without a
# shell; where its module cache holds what go.mod names, no network is needed. Nor is BuildKit.
ARG BUILDER=golang:1.26
FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
ENV CGO_ENABLED=0
# The same sources make the same bytes, wherever and whenever they are built.
RUN ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", "/out/", "./cmd/initd", "./cmd/initctl"]

FROM scratch
LABEL org.opencontainers.image.title="initd" \
      org.opencontainers.image.description="PID 1 for containers that replaces a server with a new version of it without losing a connection" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/initd /out/initctl /
# By number, as there is no /etc/passwd here, and as runAsNonRoot of Kubernetes wants it.
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/initd"]
