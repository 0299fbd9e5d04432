# The image of Landfall: one binary, the libraries that it names, certificates, and no shell.
#
# With Docker:   docker build -t landfall:dev .
# Without, the binary comes from outside (make image): --build-arg BINARY=prebuilt with a context that holds the file `landfall`.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=debian:bookworm-slim
ARG BINARY=compiled

FROM ${RUST_IMAGE} AS compiled
WORKDIR /source
COPY . .
RUN cargo build --release --locked && mv target/release/landfall /landfall

FROM scratch AS prebuilt
COPY landfall /landfall

FROM ${BINARY} AS binary

# Collects the files of the runtime stage below /rootfs.
FROM ${BASE_IMAGE} AS rootfs
COPY --from=binary /landfall /landfall
RUN set -eu; \
    test -e /etc/ssl/certs/ca-certificates.crt || { apt-get update && apt-get install -y --no-install-recommends ca-certificates; }; \
    mkdir -p /rootfs/etc/ssl/certs /rootfs/tmp /rootfs/usr/bin; \
    chmod 1777 /rootfs/tmp; \
    cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/; \
    echo 'landfall:x:65532:65532:landfall:/:/sbin/nologin' > /rootfs/etc/passwd; \
    echo 'landfall:x:65532:' > /rootfs/etc/group; \
    echo 'hosts: files dns' > /rootfs/etc/nsswitch.conf; \
    cp /landfall /rootfs/usr/bin/landfall; \
    /landfall --version; \
    ldd /landfall > /tmp/libraries; \
    grep -o "/lib[^ ]*" /tmp/libraries | while read -r library; do cp -L --parents "$library" /rootfs/; done

FROM scratch
COPY --from=rootfs /rootfs/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/landfall"]
CMD ["operator"]
