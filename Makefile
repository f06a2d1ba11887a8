# Every target is one or two plain commands; logic lives in Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache

.DEFAULT_GOAL := help
.PHONY: help dev demo test meanwhile test-fast e2e e2e-matrix newest e2e-kubernetes e2e-kubernetes-all e2e-kubernetes-rolls e2e-ipam e2e-docker e2e-tools e2e-vm e2e-vm-all vm-disk sabotage bench bench-pods bench-setups profile protos check-protos docs image kubectl-netdev manifests chart fmt lint type cover check clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

dev: $(VENV)/.done ## Make the virtual environment with everything to work on this
$(VENV)/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(VENV)/.done ## Run the main job here and now, on a stand-in for a node
	$(BIN)/nri-netdev demo

test: $(VENV)/.done meanwhile vm-disk ## Every test, real engines, OCI runtimes, drivers and Kubernetes included
	$(BIN)/python -m tests

meanwhile: $(VENV)/.done e2e-tools
	$(BIN)/python -m tests.e2e.tools --meanwhile

test-fast: $(VENV)/.done ## The tests that need neither root nor Go
	$(BIN)/python -m pytest -m 'not root and not upstream and not e2e'

e2e: $(VENV)/.done e2e-tools ## The end-to-end tests on one pair, as in: make e2e ENGINE=crio RUNTIME=crun
	$(BIN)/python -m pytest tests/e2e

e2e-matrix: export CELLS := all
e2e-matrix: $(VENV)/.done e2e-tools ## The end-to-end tests on every pair of engine and OCI runtime
	$(BIN)/python -m pytest tests/e2e

newest: $(VENV)/.done ## Try the newest version of everything on a copy, what broke first; NEWEST=--kubernetes adds 20 min (root)
	$(BIN)/python -m tests.newest $(NEWEST)

e2e-kubernetes: $(VENV)/.done e2e-tools ## The tests on a real Kubernetes, which takes 10 to 20 minutes to build (root)
	$(BIN)/python -m tests.e2e.tools etcd kubernetes
	$(BIN)/python -m pytest tests/kubernetes

e2e-kubernetes-all: export KUBERNETES := all
e2e-kubernetes-all: e2e-kubernetes ## The same with what takes long

e2e-kubernetes-rolls: export ROLLS ?= 20
e2e-kubernetes-rolls: export PODS ?= 500
e2e-kubernetes-rolls: $(VENV)/.done e2e-tools ## Pods created while the daemon is replaced 20 times on a real Kubernetes (ROLLS=… PODS=…)
	$(BIN)/python -m tests.e2e.tools etcd kubernetes
	$(BIN)/python -m pytest -s tests/kubernetes/test_upgrade.py -k rolls

e2e-ipam: export IPAM_ROUNDS ?= 200
e2e-ipam: $(VENV)/.done e2e-tools ## Addresses of an IPAM plugin while the daemon is killed 200 times (IPAM_ROUNDS=…)
	$(BIN)/python -m pytest tests/e2e/test_as_asked_killed.py -k through_kills

e2e-docker: $(VENV)/.done e2e-tools ## The end-to-end tests beside CRI: ctr, and a real Docker, which takes minutes to build
	$(BIN)/python -m tests.e2e.tools docker
	$(BIN)/python -m pytest tests/e2e/test_other_engines.py

e2e-tools: $(VENV)/.done ## Build or find engines, OCI runtimes, crictl and CNI plugins for the end-to-end tests
	$(BIN)/python -m tests.e2e.tools

vm-disk: $(VENV)/.done e2e-tools ## Make the disk of a virtual machine with real drivers, of Debian packages (root)
	$(BIN)/python -m tests.vm.disk

e2e-vm: $(VENV)/.done vm-disk ## Give and take real NICs in a virtual machine, a line for each scenario
	$(BIN)/python -m pytest tests/vm

e2e-vm-all: export VM := all
e2e-vm-all: $(VENV)/.done vm-disk ## The same on both kernels and engines, every kind with everything that can happen
	$(BIN)/python -m pytest tests/vm

sabotage: $(VENV)/.done ## Spoil interfaces at random, hundreds of times, and compare (root), as in: make sabotage SABOTAGE='--seed 7'
	$(BIN)/python -m tests.e2e.tools dump-tools
	$(BIN)/python -m tests.sabotage $(SABOTAGE)

bench: $(VENV)/.done ## Measure this daemon beside a Go plugin (root); BENCH='--docs' writes docs/speed.md, '--soak 10' soaks
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m bench $(BENCH)

bench-pods: $(VENV)/.done e2e-tools ## Measure how long real containers take to run: no plugin, a Go plugin, this daemon (root)
	$(BIN)/python -m bench.pods

bench-setups: $(VENV)/.done e2e-tools ## Measure what it costs to be set up, beside other plugins (root), as in: make bench-setups SETUPS=--docs
	$(BIN)/python -m bench.setups $(SETUPS)

profile: $(VENV)/.done ## Show where the time of a CreateContainer goes (root)
	$(BIN)/python -m bench.profile

protos: $(VENV)/.done ## Generate nri_netdev/proto from protos/
	$(BIN)/python protos/generate.py

check-protos: $(VENV)/.done ## Fail if the generated code is not what protos/ gives
	$(BIN)/python protos/generate.py --check

docs: $(VENV)/.done ## Write what the docs take from the code, and build them as a site in .cache/site
	$(BIN)/python docs/draw.py
	$(BIN)/python docs/messages.py
	$(BIN)/properdocs build --quiet

image: ## Build the container image, as in: make image BASE=NAME@sha256:… (without BASE: on a base made here, as root)
	$(PYTHON) image/build.py $(if $(BASE),--base=$(BASE))

kubectl-netdev: $(VENV)/.done ## Write the plugin of kubectl as one file, .cache/kubectl-netdev
	$(BIN)/python image/kubectl_netdev.py

manifests: $(VENV)/.done ## Build and validate the Kubernetes manifests and the Helm chart
	$(BIN)/python -m tests.e2e.tools kustomize helm registry
	$(BIN)/python -m pytest tests/test_manifests.py tests/test_chart.py

chart: $(VENV)/.done ## Write the Helm chart from the Kubernetes manifests
	$(BIN)/python -m tests.e2e.tools kustomize
	$(BIN)/python manifests/chart.py

fmt: $(VENV)/.done ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.done ## Ruff, mypy --strict and the import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

cover: $(VENV)/.done ## Branch coverage of the tests that need no engine
	$(BIN)/coverage run -m pytest -m 'not e2e'
	$(BIN)/coverage report --show-missing

check: lint check-protos test ## What CI runs

clean: ## Remove what was built here
	rm -rf $(VENV) $(CACHE) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
