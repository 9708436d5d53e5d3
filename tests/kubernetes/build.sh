#!/bin/sh
# Builds the programs of Kubernetes 1.20.2 from Debian 12's source package `kubernetes`:
#
#     tests/kubernetes/build.sh DIRECTORY
#
# puts them into DIRECTORY/bin. What is there is left alone, and what was interrupted goes on. From nothing it takes
# ten minutes on two processors and 1 GB (after the build; 2.5 GB during it). As root, on Debian 12.
set -eu

version=1.20.2
programs='kubeadm kube-apiserver kube-controller-manager kubelet kube-proxy kubectl'

top=$1
mkdir -p "$top/bin"
top=$(cd "$top" && pwd)

complete() {
    for program in $programs; do
        test -x "$top/bin/$program" || return 1
    done
}
complete && exit 0

"$(dirname "$0")/../install.sh" dpkg-dev golang-go

say() {
    echo "build.sh: $*"
}

# The machine's own Debian sources, asked for source packages; apt's own configuration stays as it is.
. /etc/os-release
lists=$top/apt
mkdir -p "$lists/parts" "$lists/state/lists/partial" "$lists/cache/archives/partial"
own_sources() {
    : >"$lists/sources.list"
    rm -f "$lists"/parts/*
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        test -f "$file" && sed -n "s/^deb \(.* $VERSION_CODENAME .*\)/deb-src \1/p" "$file" >>"$lists/sources.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        if test -f "$file" && grep -q "^Suites:.*\b$VERSION_CODENAME\b" "$file"; then
            sed 's/^Types:.*/Types: deb-src/' "$file" >"$lists/parts/$(basename "$file")"
        fi
    done
    return 0
}
apt_source() {
    apt-get -q -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$lists/sources.list" -o "Dir::Etc::SourceParts=$lists/parts" \
        -o "Dir::State::Lists=$lists/state/lists" -o "Dir::Cache=$lists/cache" "$@"
}

# Where Go looks for packages without modules: `kubernetes` carries all that it imports.
tree=$top/go/src/k8s.io/kubernetes
if ! test -e "$tree/.complete"; then
    say 'fetching the source package'
    own_sources
    apt_source update
    rm -rf "$top/source" "$tree"
    mkdir -p "$top/source" "$(dirname "$tree")"
    (cd "$top/source" && apt_source source kubernetes)
    # Another distribution's package has another version, and this script would not fit it.
    mv "$top/source"/kubernetes-*"$version" "$tree"
    rm -rf "$top/source" "$lists"
    : >"$tree/.complete"
fi

# The `reflect2` in the tree panics in programs of Go 1.18 and later; Debian's package of it does not.
if ! test -e "$tree/.reflect2"; then
    say 'replacing reflect2'
    rm -rf "$top/reflect2"
    mkdir -p "$top/reflect2"
    (cd "$top/reflect2" && apt-get -q -o APT::Sandbox::User=root download golang-github-modern-go-reflect2-dev && dpkg -x ./*.deb .)
    rm -rf "$tree/vendor/github.com/modern-go/reflect2"
    cp -r "$top/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" "$tree/vendor/github.com/modern-go/"
    rm -rf "$top/reflect2"
    : >"$tree/.reflect2"
fi

cd "$tree"
export GO111MODULE=off GOPATH="$top/go" GOCACHE="$top/go-cache" GOFLAGS= CGO_ENABLED=0

# The apiserver's description of itself is not in the tree, but what makes it is.
generated=pkg/generated/openapi/zz_generated.openapi.go
if ! test -s "$generated"; then
    say 'generating the description of the API'
    go build -o "$top/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    packages=$(grep -rlE '^ *// *\+k8s:openapi-gen=true' --include=*.go pkg staging/src plugin | grep -v /vendor/ |
        xargs -n1 dirname | sort -u | sed -e 's|^staging/src/|k8s.io/kubernetes/vendor/|' -e 't' -e 's|^|k8s.io/kubernetes/|' |
        paste -sd, -)
    "$top/openapi-gen" --v 0 --logtostderr --go-header-file hack/boilerplate/boilerplate.generatego.txt \
        --output-file-base zz_generated.openapi --output-package k8s.io/kubernetes/pkg/generated/openapi \
        --input-dirs "$packages" --report-filename "$top/openapi-violations"
    rm -f "$top/openapi-gen" "$top/openapi-violations"
fi

# kubeadm compares versions, so every program must know its own.
stamp="-s -w"
for package in component-base/version client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/k8s.io/$package
    stamp="$stamp -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=20"
done
for program in $programs; do
    test -x "$top/bin/$program" && continue
    say "building $program"
    begin=$(date +%s)
    go build -trimpath -ldflags "$stamp" -o "$top/bin/$program.new" "./cmd/$program"
    mv "$top/bin/$program.new" "$top/bin/$program"
    say "$program: $(($(date +%s) - begin)) s"
done

test "$("$top/bin/kubeadm" version --output short)" = "v$version"
say 'removing what only the build needed'
rm -rf "$top/apt" "$top/go" "$top/go-cache" "$top/source"
