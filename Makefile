# make demo | demo-cluster | examples | pictures | test | drain | faults | tutorial | check | docs | reference | bench | dist | check-dist
# | format | clean. Each makes the virtual environment when it is missing; the demos install only what they need, and take
# another port with `make demo PORT=8001`. `make docs` builds the site of the documentation into build/site, `make reference`
# writes into docs/reference what the code says, and `make dist` a release into dist.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
NODE_READY := tests/js/node_modules/.ready

.PHONY: demo demo-cluster examples pictures test drain faults tutorial check check-js docs reference bench dist check-dist format clean

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

examples: $(READY)
	@$(BIN)/python -m examples prepare
	@$(BIN)/python -m examples runserver $(PORT)

pictures: $(READY)
	$(BIN)/python -m pytest -m long tests/browser/test_pictures.py

test: $(READY)
	$(BIN)/python -m pytest -m "not long and not alone" --numprocesses 4 --dist loadscope --no-loadscope-reorder
	$(BIN)/python -m pytest -m "alone and not long"

drain: $(READY)
	$(BIN)/python -m pytest -m long -s tests/integration/test_drain.py

faults: $(READY)
	$(BIN)/python -m pytest -m long -s tests/integration/test_relay_*.py

tutorial: $(READY)
	$(BIN)/python -m pytest -m long -s tests/browser/test_tutorial.py

check: $(READY) check-js
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check-js:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(NODE_READY) && npm run --prefix tests/js --silent check; \
		elif [ "$$ARCLY_REQUIRE_ALL" = 1 ]; then echo 'npm is missing, and ARCLY_REQUIRE_ALL=1'; exit 1; \
		else echo 'gateway.js is not checked: npm is missing'; fi

reference: $(READY)
	PYTHONPATH=. $(BIN)/python -m website.reference

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet
	@echo 'Built into build/site. To read it: $(PYTHON) -m http.server --bind 127.0.0.1 --directory build/site $(PORT)'

bench: $(READY)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.handshake

dist: $(READY)
	rm -rf build dist *.egg-info
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

check-dist: $(READY)
	$(BIN)/python -m pytest -m long tests/integration/test_packaging.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-channels-redis tests/js/node_modules db.sqlite3 examples/db.sqlite3 build dist *.egg-info
