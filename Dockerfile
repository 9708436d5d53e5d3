# The image holds one file: the static binary, which `make build` has made beforehand.
#
#   docker build --build-arg BINARY=target/x86_64-unknown-linux-gnu/release/lvscare -t lvscare:0.1.0 .
#
# For several architectures at once, build each with its own binary and --platform, then join them in a manifest list.
# `make image` does it without a docker engine.
FROM scratch
ARG BINARY=lvscare
COPY --chmod=0755 ${BINARY} /lvscare
ENTRYPOINT ["/lvscare"]
CMD ["care"]
