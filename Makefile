# Everything runs in a virtual environment of its own, made on first use. VENV=… lets several checkouts share one.
VENV ?= .venv
PYTHON ?= python3
CONFIG ?= quick
ARGS ?=
BIN := $(VENV)/bin
LOCK := $(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)

.PHONY: help setup reproduce native pretrained study test lint bench-physics bench-metrics bench-denoisers bench-rivals rivals rivals-ct profile tuned seeds enlargement \
	notebooks docs docs-serve clean

help:
	@echo "make reproduce      the three tables on the embedded phantom (about 10 minutes on two cores)"
	@echo "make native         the same on real chest CT at 512×512 (sized for four hours): IPV2_BENCH_CT=FOLDER of DICOM series"
	@echo "make pretrained     the weights in the package, and their measures on held-out patients (hours): IPV2_BENCH_CT"
	@echo "make bench-physics  speed and accuracy of module 2's physics beside the published script"
	@echo "make bench-metrics  speed of the distances beside clean-fid, and the share of measuring in CONFIG's run"
	@echo "make bench-denoisers  speed and memory of the denoisers beside literal networks of the same size"
	@echo "make bench-rivals   registration and patches beside the known motion (IPV2_BENCH_CT for real CT, too)"
	@echo "make rivals         Tables 4 and 5: purification beside its rivals, at three sizes of breathing (an hour)"
	@echo "make rivals-ct      Tables 4 and 5 on real CT at 512×512, one training seed (hours): IPV2_BENCH_CT"
	@echo "make profile        where the time of a training step of CONFIG goes"
	@echo "make seeds          the phantom's tables with two training seeds (20 minutes)"
	@echo "make tuned          the denoisers as published and tuned, with CONFIG's data"
	@echo "make enlargement    CoreDiff with and without its checkerboard on real CT (40 minutes): IPV2_BENCH_CT"
	@echo "make study          whether the distances of CONFIG's tables order results as the truth does"
	@echo "make notebooks      run the notebooks and store what they show in them"
	@echo "make docs           the documentation as a folder of pages, site/ (make docs-serve: in the browser, while you write)"
	@echo "make test           lint, types and tests"
	@echo "make setup          only the virtual environment (VENV=$(VENV))"

$(VENV)/deps-$(LOCK):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=python3.11"; exit 1; }
	@echo "setting up $(VENV): the pinned packages of constraints.txt (about 6 GB, a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@rm -f $(VENV)/deps-*; touch $@

# A shared environment points at the checkout that used it last.
setup: $(VENV)/deps-$(LOCK)
	@cd / && "$(abspath $(BIN))/python" -c 'import pathlib, sys, ipv2_bench; sys.exit(pathlib.Path(ipv2_bench.__file__).parent.parent != pathlib.Path(sys.argv[1]))' "$(CURDIR)" \
	  || "$(abspath $(BIN))/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable "$(CURDIR)" 2>/dev/null \
	  || "$(abspath $(BIN))/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable "$(CURDIR)"

reproduce: setup
	$(BIN)/ipv2-bench reproduce --config $(CONFIG) $(ARGS)

native: setup
	$(BIN)/ipv2-bench reproduce --config native $(ARGS)

bench-physics: setup
	$(BIN)/python -m tests.benches.physics $(ARGS)

bench-metrics: setup
	$(BIN)/python -m tests.benches.metrics --config $(CONFIG) $(ARGS)

bench-denoisers: setup
	$(BIN)/python -m tests.benches.denoisers --config $(CONFIG) $(ARGS)

bench-rivals: setup
	$(BIN)/python -m tests.benches.rivals $(ARGS)

# Tables 4 and 5; and Table 4 with breathing half and twice as large.
rivals: setup
	$(BIN)/ipv2-bench reproduce --config rivals $(ARGS)
	$(BIN)/ipv2-bench reproduce --config rivals name=rivals_half data.breathing=0.5 tables=[table4.yaml] $(ARGS)
	$(BIN)/ipv2-bench reproduce --config rivals name=rivals_double data.breathing=2.0 tables=[table4.yaml] $(ARGS)

# Tables 4 and 5 on real CT; EDCNN and RED-CNN, which work at full size throughout, take longest.
rivals-ct: setup
	$(BIN)/ipv2-bench reproduce --config native name=native_rivals tables=[table4.yaml,table5.yaml] seeds=[0] $(ARGS)

profile: setup
	$(BIN)/python -m tests.benches.steps --config $(CONFIG) $(ARGS)

# The phantom's board with a second training seed, which 12 minutes do not allow.
seeds: setup
	$(BIN)/ipv2-bench reproduce --config quick name=phantom_seeds seeds=[0,1] \
	  "title=digital thorax, virtual 2 % scan, two training seeds" $(ARGS)

tuned: setup
	$(BIN)/ipv2-bench reproduce --config $(CONFIG) tables=[table_tuned.yaml] $(ARGS)

# CoreDiff on real CT as published, and without the checkerboard of its transposed convolutions.
enlargement: setup
	$(BIN)/ipv2-bench reproduce --config native name=native_enlargement tables=[table_enlargement.yaml] \
	  "denoisers.corediff_bilinear={variant_of: corediff, rise: bilinear}" "title=real chest CT: enlargement of maps in CoreDiff" $(ARGS)

HELD_OUT := data.split=patient data.folds=2 data.phantoms=0 data.test_slices=12

# The weights in the package, and what they reach on patients that they have not seen: hours.
pretrained: setup
	$(BIN)/ipv2-bench train --config pretrained --denoiser fm --strategy oracle $(ARGS)
	$(BIN)/ipv2-bench train --config pretrained --denoiser unet --strategy oracle $(ARGS)
	$(BIN)/ipv2-bench reproduce --config pretrained $(HELD_OUT) $(ARGS)
	$(BIN)/python -m tests.benches.pretrained $(HELD_OUT) $(ARGS)

study: setup
	$(BIN)/ipv2-bench study --config $(CONFIG) $(ARGS)

notebooks: setup
	$(BIN)/python -m tests.notebook_files $(ARGS)

# The theme's maker would announce the next program at every build.
docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: setup
	$(BIN)/mkdocs build --strict -f docs/mkdocs.yml
	@echo "open site/index.html"

docs-serve: setup
	$(BIN)/mkdocs serve -f docs/mkdocs.yml

lint: setup
	$(BIN)/ruff check ipv2_bench tests docs notebooks
	$(BIN)/mypy ipv2_bench

# Files of tests go to five processes, since many wait for others; those of one file share what they compute once. The tests start
# hundreds of programs: they find compiled modules, as a user's do, whatever the environment says.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

clean:
	rm -rf runs build site .pytest_cache .mypy_cache .ruff_cache *.egg-info
