# make demo   the main job on the embedded model, from nothing to a picture and a table
# make test   lint, types, import contracts, tests, and a run of the demo
# make bench  what the figures of speed, memory and layouts come from; make sizes those at SDXL's and FLUX.1's true size
# make soak   kills, full disks and corrupted headers by the hundred, against every form of output
# make tables DEVICE=cuda   what docs/results.md says, measured anew and written
# make world DEVICE=cuda    the second edition of the embedded world: every model and its card, in pieces that resume
# make compare DEVICE=cuda   every method in one table: what is missing of benchmarks/world.toml, docs/bench.md and README's table
# make vsix  the extension for VS Code, by npm; prints where it lies
# make twins  the models that never knew, into the environment; nothing else needs them
# TORCH_INDEX=<index>  an index that holds a CPU build of torch (elsewhere pip may choose a build of several GB)
PYTHON ?= python3.11
VENV ?= .venv
TORCH_INDEX ?=
DEVICE ?= cpu
BIN = $(VENV)/bin
READY = $(VENV)/.ready
VSCE = @vscode/vsce@3.9.2
ON = --device $(DEVICE)
FOUR = recipes/demo.erase recipes/micro/identity.erase recipes/micro/style.erase recipes/micro/unsafe.erase

.PHONY: demo test lint bench compare sizes soak vsix world twins tables clean

$(READY): pyproject.toml backends/tracelang_micro/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "setuptools>=77" -c constraints.txt
	$(BIN)/pip install -q -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e ".[dev]" -e "backends/tracelang_micro[world]"
	touch $(READY)

demo: $(READY)
	mkdir -p out
	$(BIN)/tracec compile recipes/demo.erase -o out/demo.plan.json
	$(BIN)/tracec apply out/demo.plan.json --model micro-sd --out out/demo --force
	$(BIN)/python -m tracelang_micro.demo out/demo

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A process for each core, each with one thread: tests of one file stay together, they share what they build.
test: lint demo
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n logical --dist loadfile

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.lint
	$(BIN)/python -m tests.benchmarks.lsp
	$(BIN)/python -m tests.benchmarks.recovery
	$(BIN)/python -m tests.benchmarks.steer_step --model micro-sd
	$(BIN)/python -m tests.benchmarks.closed_form
	$(BIN)/python -m tests.benchmarks.apply_cost
	$(BIN)/python -m tests.benchmarks.layouts

# Stops and goes on; `tracec bench benchmarks/world.toml --plan` says how long, --shard and --jobs share it
compare: $(READY)
	$(BIN)/tracec bench benchmarks/world.toml $(ON)

# 14 GB of disk for SDXL, 20 for FLUX.1, more for the table
sizes: $(READY)
	$(BIN)/python -m tests.benchmarks.sdxl_size
	$(BIN)/python -m tests.benchmarks.flux_size
	$(BIN)/python -m tests.benchmarks.layouts --true

soak: $(READY)
	$(BIN)/python -m tests.soak

tables: $(READY)
	$(BIN)/python -m tests.benchmarks.erasure --preserved-only --stages trace $(ON)
	$(BIN)/python -m tests.benchmarks.erasure --preserved-only --kept 20 --stages "closed form alone" "fine-tuning alone" $(ON)
	$(BIN)/python -m tests.benchmarks.windows --everything --kept 5 $(ON)
	$(BIN)/python -m tests.benchmarks.windows --stage "fine-tuning alone" --everything --kept 5 $(ON)
	$(BIN)/python -m tests.benchmarks.erasure $(FOUR) --model micro-flux --preserved-only --stages trace "closed form alone" $(ON)
	$(BIN)/python -m tests.benchmarks.windows --model micro-flux --everything --kept 5 $(ON)
	$(BIN)/python -m tests.benchmarks.windows --model micro-flux --stage "fine-tuning alone" --everything --kept 5 $(ON)
	$(BIN)/python -m tests.benchmarks.page

world: $(READY)
	$(BIN)/python -m tracelang_micro.world $(ON)

twins: $(READY)
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e backends/tracelang_micro_twins

vsix:
	rm -rf build/vsix
	mkdir -p build/vsix
	cp -R grammar/editors/vscode/. LICENSE build/vsix
	cd build/vsix && npm ci --omit=dev --no-audit --no-fund && \
	  npx --yes $(VSCE) package --allow-missing-repository --out erase.vsix
	@echo $(CURDIR)/build/vsix/erase.vsix

clean:
	rm -rf $(VENV) out build *.egg-info backends/*/*.egg-info
