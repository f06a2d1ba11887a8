module nri-netdev/tests/e2e/pins/kustomize

go 1.26.3
