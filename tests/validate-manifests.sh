#!/bin/sh
# Compares the Kubernetes objects in manifests/ with the schemas of eight minor versions, which the validator brings
# along: no cluster is asked. Its only argument is a directory for the validator.
set -eu

validator=kubernetes-validate==1.37.0
versions='1.25 1.27 1.29 1.31 1.33 1.35 1.36 1.37'
mkdir -p "$1"
place=$(cd "$1" && pwd)/$validator

# Half an installation is never taken for a whole one: the mark comes last.
if [ ! -e "$place/complete" ]; then
    rm -rf "$place"
    if ! python3 -m venv "$place" >/dev/null 2>&1 || ! "$place/bin/pip" install --quiet "$validator"; then
        rm -rf "$place"
        echo "$validator cannot be installed: the manifests were not compared with Kubernetes' schemas"
        exit 0
    fi
    : >"$place/complete"
fi

cd "$(dirname "$0")/../manifests"
for version in $versions; do
    "$place/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$version" static-pod.yaml rbac.yaml
done
