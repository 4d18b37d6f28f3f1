# Every target first sets up its environment, which takes milliseconds if nothing changed. `make help` lists the targets.
# ARGS is passed to the command:  make test ARGS="tests/data -k folder"     make demo ARGS="--help"

VENV := .venv
CORE_VENV := .venv-core312
DOCS_VENV := .venv-docs
PYTHON := $(VENV)/bin/python
ARGS ?=
# Where `make bench` and `make reproduce` write their records, one NAME.json each.
OUT ?= benchmarks/reproduce

# TensorFlow 2.16 logs three harmless errors at every start (level 3 hides them; failures still raise), and a Google library
# warns about Python 3.10. Keras 3 must be set: otherwise TFX switches tf.keras to Keras 2.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONWARNINGS ?= ignore::FutureWarning:google.api_core._python_version_support
export TF_USE_LEGACY_KERAS := 0

# Called by themselves: gpu.py is for machines with a GPU, scale.py needs MNIST, metric_peers.py other packages.
BENCHMARKS := $(filter-out %/__init__ %/gpu %/metric_peers %/record %/scale %/turns %/zoo,$(basename $(wildcard benchmarks/*.py)))
# Tests that need the extras [tfx], which has no wheels for Python 3.12, and [serving], which is locked for 3.10 only.
TFX_TESTS := $(addprefix --ignore=,$(wildcard tests/pipelines tests/serving tests/studio))

# The theme warns about MkDocs 2, which constraints/docs.txt keeps out.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs

.DEFAULT_GOAL := help
.PHONY: help setup setup-browser setup-core-latest demo test test-long lint types test-core-latest test-serving-real bench reproduce lock clean
.PHONY: docs docs-serve docs-pages

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: setup ## run the whole pipeline for a VAE and a DCGAN on 8x8 digits, from data to pushed model and report
	$(VENV)/bin/tfgen demo $(ARGS)

test: lint ## run lint, then all tests but the long ones, in two processes
	$(PYTHON) -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder $(ARGS)

# In parts, since TensorFlow keeps the memory of compiled graphs until a process ends. 5: a part without tests. After UNTIL,
# a time in seconds since 1970, no further part begins: CI ends everything after 90 minutes, on machines of many speeds.
test-long: setup ## run the tests that are marked as long
	@failed=0; for part in 1 2 3 4 5 6 7 8; do \
		if [ -n "$(UNTIL)" ] && [ "$$(date +%s)" -ge "$(or $(UNTIL),0)" ]; then \
			echo "== NOT RUN, since the time is up: parts $$part to 8 of the long tests"; break; fi; \
		$(PYTHON) -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder -m long --part $$part/8 $(ARGS) || \
			[ $$? -eq 5 ] || failed=1; done; exit $$failed

lint: setup ## run ruff, import-linter (which package may import which) and mypy (see types)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/mypy

types: setup ## check the types of the library with mypy
	$(VENV)/bin/mypy

setup-browser: setup ## install what the tests of the studio need: Debian's Chromium (as root) and Playwright's Python package
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	$(PYTHON) -m pip install --quiet $$(cat constraints/browser.txt)

test-serving-real: setup ## send the wire cases and golden bodies to tensorflow_model_server, which must be on PATH
	$(PYTHON) -m tfgen_serving.conformance --server tensorflow_model_server \
		--cases tests/serving/given/cases.json --golden tests/serving/given/json_golden.jsonl $(ARGS)

test-core-latest: setup-core-latest ## run the library's tests on Python 3.12 with the newest TensorFlow and Keras
	$(CORE_VENV)/bin/python -m pytest $(TFX_TESTS) $(ARGS)

bench: setup ## measure speed: run benchmarks/*.py and write their records to OUT (benchmarks/reproduce)
	@set -e; for name in $(subst /,.,$(BENCHMARKS)); do \
		echo "== $$name"; $(PYTHON) -m $$name --out "$(OUT)/$${name##*.}.json" $(ARGS); done

reproduce: setup ## measure quality: long training runs with records in OUT; ARGS names them, e.g. "sngan_digits" or "all", or is --status
	$(PYTHON) -m benchmarks.reproduce --folder "$(OUT)" $(ARGS)

docs: docs-pages ## make the documentation site, build/docs/site, from docs/, docstrings, presets, records and weights; a warning fails
	$(MKDOCS) build --config-file build/docs/mkdocs.yml $(ARGS)
	@! grep -rE '<(script|link|img|iframe)[^>]*="https?://' --include='*.html' build/docs/site # it loads nothing from elsewhere
	@echo "The site is in build/docs/site; open build/docs/site/index.html."

docs-serve: docs-pages ## make the pages and serve the site on this machine; ARGS="--dev-addr localhost:8001" for another address
	$(MKDOCS) serve --config-file build/docs/mkdocs.yml $(ARGS)

docs-pages: setup
	@tools/setup_env.sh $(DOCS_VENV) 3.10 constraints/docs.txt
	$(PYTHON) -m tools.docs build/docs

setup: ## make the environment .venv (Python 3.10 and constraints/py310.txt)
	@tools/setup_env.sh $(VENV) 3.10 constraints/py310.txt

setup-core-latest:
	@tools/setup_env.sh $(CORE_VENV) 3.12 constraints/core-py312.txt

lock: setup ## resolve setup.cfg again and rewrite constraints/ (needs uv)
	@uv=$$(command -v uv || echo .tools/bin/uv); \
	lock="$$uv pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url --no-emit-find-links"; \
	printf 'pip\nsetuptools\nwheel\n' | \
		$$lock --python-version 3.10 setup.cfg --extra tfx --extra serving --extra compression --extra onnx --extra dev - -o constraints/py310.txt && \
	printf 'setuptools\nwheel\n' | \
		$$lock --python-version 3.12 setup.cfg --extra compression --extra dev - -o constraints/core-py312.txt && \
	printf 'mkdocs<2\nmkdocs-material\nmkdocstrings[python]\npymdown-extensions<12\nruff\nsetuptools<80.9\nwheel\n' | \
		$$lock --python-version 3.10 - -o constraints/docs.txt

clean: ## remove environments and caches, keep runs
	rm -rf $(foreach venv,$(VENV) $(CORE_VENV) $(DOCS_VENV),$(venv) $(venv).lock $(venv).installing) .tools
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
