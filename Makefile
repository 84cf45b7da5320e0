# make demo | demo-cluster | pictures | test | drain | faults | check | docs | bench | format | clean. Each makes the virtual
# environment when it is missing; the demos install only what they need, and take another port with `make demo PORT=8001`.
# `make docs` builds the site of the documentation into build/site.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
NODE_READY := tests/js/node_modules/.ready

.PHONY: demo demo-cluster pictures test drain faults check check-js docs bench format clean

$(READY): setup.py requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

$(DEMO_READY): setup.py requirements-demo.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-demo.txt
	touch $@

$(NODE_READY): tests/js/package.json
	npm install --prefix tests/js --loglevel error
	touch $@

demo: $(DEMO_READY)
	@$(BIN)/python -m demo_project.serve $(PORT)

demo-cluster: $(DEMO_READY)
	@$(BIN)/python -m demo_project.cluster $(PORT)

pictures: $(READY)
	$(BIN)/python -m pytest -m long tests/browser/test_pictures.py

test: $(READY)
	$(BIN)/python -m pytest -m "not long and not alone" --numprocesses 4 --dist loadscope
	$(BIN)/python -m pytest -m "alone and not long"

drain: $(READY)
	$(BIN)/python -m pytest -m long -s tests/integration/test_drain.py

faults: $(READY)
	$(BIN)/python -m pytest -m long -s tests/integration/test_relay_*.py

check: $(READY) check-js
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check-js:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(NODE_READY) && npm run --prefix tests/js --silent check; \
		elif [ "$$ARCLY_REQUIRE_ALL" = 1 ]; then echo 'npm is missing, and ARCLY_REQUIRE_ALL=1'; exit 1; \
		else echo 'gateway.js is not checked: npm is missing'; fi

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.handshake

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-channels-redis tests/js/node_modules db.sqlite3 build *.egg-info
