# Two commands matter: `make demo` shows the main job, `make test` runs everything. Both install what they need
# on Debian as root.

SHELL := /bin/bash
CARGO ?= cargo
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

# One static binary: the C library is linked in.
STATIC := --config 'target.$(HOST).rustflags=["-C","target-feature=+crt-static"]' --target $(HOST)
TARGET_DIR = $(shell $(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
LVSCARE = $(TARGET_DIR)/$(HOST)/release/lvscare
INSTALLER = $(LVSCARE)-installer

# Tests are linked as those for the guest are (FLAGS in tests/src/vm/cargo.rs), and `vm` has the features with which it
# builds them: with the same flags and features nothing is compiled twice.
TEST := RUSTFLAGS='-C target-feature=+crt-static -C strip=debuginfo' $(CARGO)
RUN = $(TEST) run --target $(HOST) --package tests --features guest --bin
VM = date '+%T building the laboratory, about a minute the first time' >&2 && $(RUN) vm --

# The peers of the benchmark, as Debian packages them.
PEERS = haproxy keepalived ldirectord libio-socket-ssl-perl liblwp-protocol-https-perl libnginx-mod-stream nginx strace

.PHONY: help bench build dashboard deb demo dist image man test test-here test-host test-guest test-busy test-kubernetes test-long test-package lint lint-manifests install clean

help:
	@echo 'make demo        the main job on a real kernel: three apiservers, one killed, failover shown'
	@echo 'make test        everything: lints, host tests, guest tests'
	@echo 'make bench       lvscare and its peers at the same work, and what 5,000 nodes ask of an apiserver;'
	@echo '                 BENCH=quick for less, DOCS=1 to keep the report in docs/benchmarks.md'
	@echo 'make build       the static release binary'
	@echo 'make test-host   tests that need no kernel with IPVS'
	@echo 'make test-guest  tests on a real kernel; T=NAME runs one file, ARGS="-- name" one test'
	@echo 'make test-busy   the same beside two loops that take the processors; ARGS="--processors 1" for a small guest'
	@echo 'make test-long   guest tests that take ten minutes, which `make test` leaves out; T=NAME as above'
	@echo 'make test-package  Debian package under a real systemd, image under a real containerd, dashboard and alerts'
	@echo '                 under a real Prometheus'
	@echo 'make test-kubernetes  real kubeadm, kubelet, kube-proxy and three real apiservers, one after the other lost;'
	@echo '                 builds Kubernetes 1.20.2 the first time; ARGS="--only death" for one part'
	@echo 'make dashboard   docs/dashboard.svg drawn anew from a real Prometheus; takes four minutes'
	@echo 'make man         manual pages and shell completions, in target/man'
	@echo 'make deb         the Debian packages of daemon and installer, in target/deb'
	@echo 'make dist        all that a release consists of, in target/dist: programs, packages, image, SBOM, checksums'
	@echo 'make image       the container image as an OCI archive, in target/image, without a docker engine'
	@echo 'make lint        format, clippy, documentation, licences'

install:
	@tests/install.sh

# What takes long says so, and when it began; cargo names each part while it compiles.
build: install
	@date '+%T building lvscare and its installer, small and static, a few minutes the first time'
	$(CARGO) build --release --package lvscare --package installer $(STATIC)
	@ls -l $(LVSCARE) $(INSTALLER)

man: install
	@date '+%T building manual pages and completions'
	$(CARGO) run --package lvscare --example man -- $(TARGET_DIR)/man/lvscare
	$(CARGO) run --package installer --example installer-man -- $(TARGET_DIR)/man/lvscare-installer
	@ls $(TARGET_DIR)/man/*

# Only packages of this version may lie there: the test takes what it finds.
deb: build man
	rm -rf $(TARGET_DIR)/deb
	manifests/deb/build $(LVSCARE) $(TARGET_DIR)/man/lvscare $(TARGET_DIR)/deb
	manifests/deb/build $(INSTALLER) $(TARGET_DIR)/man/lvscare-installer $(TARGET_DIR)/deb

# As with the package: what lies there is of this version.
image: build
	@tests/install.sh buildah
	rm -rf $(TARGET_DIR)/image
	manifests/image/build $(LVSCARE) $(TARGET_DIR)/image

# All that a release consists of, with checksums and a list of what is in it.
dist: deb image
	rm -rf $(TARGET_DIR)/dist
	manifests/dist/build $(TARGET_DIR)/dist $(LVSCARE) $(INSTALLER) $(TARGET_DIR)/deb/*.deb $(TARGET_DIR)/image/*.oci.tar
	$(CARGO) run --quiet --package tests --bin sbom -- $(HOST) $(TARGET_DIR)/dist
	cd $(TARGET_DIR)/dist && sha256sum -- * >SHA256SUMS && sha256sum --check SHA256SUMS

demo: build
	$(VM) run --bin $(LVSCARE) -- demo

# The report begins with its title and ends before the guest says how everything went.
REPORT = sed -n '/^\# Benchmarks/,/^init:/{/^init:/!p}' $(TARGET_DIR)/bench.txt

bench: build
	$(RUN) herd
	$(CARGO) build --release --package tests --bin floor $(STATIC)
	set -o pipefail; $(VM) run --guest --cheap-clock --limit 2400 --bin $(LVSCARE) --bin $(dir $(LVSCARE))floor \
	    $(addprefix --debian ,$(PEERS)) -- bench $(if $(filter quick,$(BENCH)),--quick) $(ARGS) | tee $(TARGET_DIR)/bench.txt
	@test -z '$(DOCS)' || { mkdir -p docs && $(REPORT) >docs/benchmarks.md; }

# Side by side: a guest waits most of its time. Nobody is disturbed by that, as `test-busy` shows.
test: install
	@$(MAKE) --no-print-directory -j2 test-guest test-here

test-here:
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-host

test-host: install
	$(TEST) test --workspace --target $(HOST)

test-guest: build
	$(VM) test --limit 2400 --bin $(LVSCARE) --bin $(INSTALLER) $(if $(T),--test $(T)) $(ARGS)

# Whatever else this machine is busy with, no test may fail for it.
test-busy: build
	trap 'kill $$(jobs -p)' EXIT; while :; do :; done & while :; do :; done & \
	    $(VM) test --limit 3000 --bin $(LVSCARE) --bin $(INSTALLER) $(if $(T),--test $(T)) $(ARGS)

test-long: build
	$(VM) test --limit 1500 --bin $(LVSCARE) $(if $(T),--test $(T)) -- --ignored --nocapture

# The Debian package is built here and tried under a real systemd, the image under a real containerd; dashboard and
# alerts are tried in a real Prometheus.
test-package: deb image
	$(VM) test --guest --limit 600 --test service $$(printf -- '--bin %s ' $(TARGET_DIR)/deb/*.deb) $(ARGS)
	$(VM) test --guest --limit 600 --test image --bin $(INSTALLER) --bin $(TARGET_DIR)/image/*.oci.tar $(ARGS)
	$(VM) test --guest --limit 1800 --test interrupted --bin $(INSTALLER) $(ARGS)
	$(VM) test --guest --limit 600 --test calls --bin $(LVSCARE) $(ARGS)
	$(VM) test --guest --limit 600 --test prometheus --bin $(LVSCARE) $(ARGS)
	@$(MAKE) --no-print-directory lint-manifests

# Opt-in: the first time it builds Kubernetes, which is kept outside of the repository.
KUBERNETES ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lvscare/kubernetes-1.20.2

test-kubernetes: image
	@tests/install.sh e2fsprogs
	tests/kubernetes/build.sh $(KUBERNETES)
	timeout --signal=INT 3600 env $(RUN) kubernetes -- \
	    --programs $(KUBERNETES)/bin --installer $(INSTALLER) --image $(TARGET_DIR)/image/*.oci.tar $(ARGS)

# The picture of docs/operate.md: what the dashboard's queries say while a master is killed and another one drains.
dashboard: build
	set -o pipefail; $(VM) test --guest --limit 900 --test prometheus --bin $(LVSCARE) -- --ignored --nocapture \
	    | tee $(TARGET_DIR)/dashboard.txt
	sed -n '/^<svg/,/^<\/svg>/p' $(TARGET_DIR)/dashboard.txt | tr -d '\r' >docs/dashboard.svg

lint: install lint-manifests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features tests/guest -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --quiet
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
	else echo 'cargo-deny is not installed: bans, licences and sources were not checked'; fi

# Prometheus' own checker, or the one that `test-package` has brought for the guest.
PROMTOOL = $(firstword $(shell command -v promtool) $(wildcard $(TARGET_DIR)/guest/prometheus/usr/bin/promtool))

lint-manifests:
	@tests/validate-manifests.sh $(TARGET_DIR)/validate
	@if test -n '$(PROMTOOL)'; then cd manifests/prometheus && $(PROMTOOL) check rules alerts.yaml && $(PROMTOOL) test rules *_test.yaml; \
	else echo 'promtool is not installed: the alert rules were not checked'; fi
	@if command -v systemd-analyze >/dev/null; then \
	    systemd-analyze security --no-pager --offline=true --threshold=20 manifests/lvscare.service >/dev/null; \
	else echo 'systemd-analyze is not installed: the exposure of the unit was not checked'; fi

clean:
	$(CARGO) clean
