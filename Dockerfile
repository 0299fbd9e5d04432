# The image of Landfall: one binary, kustomize and Helm, Debian's sqv, the libraries that these name, certificates, and no shell.
#
# With Docker:   docker build -t landfall:dev .
# Without, the programs come from outside (make image): --build-arg BINARY=prebuilt --build-arg RENDERERS=ready with a context that holds
# the files `landfall`, `kustomize` and `helm`.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=debian:bookworm-slim
ARG GO_IMAGE=golang:1.26-bookworm
ARG BINARY=compiled
ARG RENDERERS=built

FROM ${RUST_IMAGE} AS compiled
WORKDIR /source
COPY . .
RUN cargo build --release --locked && mv target/release/landfall /landfall

FROM scratch AS prebuilt
COPY landfall /landfall

FROM ${BINARY} AS binary

# The programs that make manifests, from their sources; the versions are those of the tests.
FROM ${GO_IMAGE} AS built
ENV CGO_ENABLED=0
COPY hack/cluster/parts/kustomize /source/kustomize
RUN cd /source/kustomize && go build -mod=readonly -trimpath -ldflags "-s -w" -o /kustomize sigs.k8s.io/kustomize/kustomize/v5
COPY hack/cluster/parts/helm /source/helm
RUN cd /source/helm && go build -mod=readonly -trimpath -ldflags "-s -w" -o /helm helm.sh/helm/v4/cmd/helm

FROM scratch AS ready
COPY kustomize helm /

FROM ${RENDERERS} AS renderers

# Collects the files of the runtime stage below /rootfs.
FROM ${BASE_IMAGE} AS rootfs
COPY --from=binary /landfall /landfall
COPY --from=renderers /kustomize /helm /rootfs/usr/libexec/landfall/
RUN set -eu; \
    { test -e /etc/ssl/certs/ca-certificates.crt && test -x /usr/bin/sqv; } || { apt-get update && apt-get install -y --no-install-recommends ca-certificates sqv; }; \
    mkdir -p /rootfs/etc/ssl/certs /rootfs/tmp /rootfs/usr/bin; \
    chmod 1777 /rootfs/tmp; \
    cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/; \
    echo 'landfall:x:65532:65532:landfall:/:/sbin/nologin' > /rootfs/etc/passwd; \
    echo 'landfall:x:65532:' > /rootfs/etc/group; \
    echo 'hosts: files dns' > /rootfs/etc/nsswitch.conf; \
    cp /landfall /rootfs/usr/bin/landfall; \
    /landfall --version; \
    cp /usr/bin/sqv /rootfs/usr/libexec/landfall/sqv; \
    sqv --version; \
    ldd /landfall > /tmp/libraries; \
    ldd /usr/bin/sqv >> /tmp/libraries; \
    grep -o "/lib[^ ]*" /tmp/libraries | sort -u | while read -r library; do cp -L --parents "$library" /rootfs/; done

FROM scratch
COPY --from=rootfs /rootfs/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/landfall"]
CMD ["operator"]
