# Every target does its own set-up: on a fresh Debian 12, `make run` is the first thing to type.
PY := .venv/bin/python
SEED ?= 2026
MEMBERS := $(wildcard libs/*) $(wildcard services/*)
# A test run starts hundreds of Python processes: compiling every module anew takes each of them 0.8 s of a processor more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run demo storm test test-ledger test-services test-whole chaos-payments mutations drills thorough check docs schema lock setup clean

run: setup            ## start everything, make a demo race day, stay up until Ctrl-C
	@exec $(PY) -m tools.stack run

demo: setup           ## play a whole race day on a throw-away stack (FAULTS=1: again with kills, same books)
	@mkdir -p .run
	@$(PY) -m tools.stack with -- $(PY) -m tools.raceday play --seed $(SEED) --books .run/books-$(SEED).json $(DEMO_ARGS)
	@$(if $(FAULTS),$(PY) -m tools.stack with -- $(PY) -m tools.raceday play --seed $(SEED) --faults \
		--compare .run/books-$(SEED).json $(DEMO_ARGS))

storm: setup          ## bettors and officials at random while our processes are killed, against both books (SEED=1 STORM_ARGS="--seconds 60")
	@exec $(PY) -m tools.stack with -- $(PY) -m tools.raceday storm --seed $(SEED) $(STORM_ARGS)

test: setup           ## every test, in three parts side by side, each on a throw-away stack (TEST_ARGS: only these, on one)
ifdef TEST_ARGS
	@exec $(PY) -m tools.stack with --traces -- $(PY) -m pytest $(TEST_ARGS)
else
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-ledger test-services test-whole
endif

test-ledger: setup
	@exec $(PY) -m tools.stack with --infra-only -- $(PY) -m pytest --durations 10 services/ledger examples tools

test-services: setup
	@exec $(PY) -m tools.stack with --infra-only -- $(PY) -m pytest --durations 10 libs services/relay services/identity services/payments

test-whole: setup
	@exec $(PY) -m tools.stack with --traces -- $(PY) -m pytest --durations 10 services/betting services/gateway tests

drills: setup         ## the long ones: relays and betting killed and frozen, the broker killed, its cluster losing a node
	@$(PY) -m tools.stack with --infra-only -- $(PY) -m pytest -m drill -s $(TEST_ARGS)
	@exec $(PY) -m tools.stack with --infra-only -- $(PY) -m tools.cluster_drill

thorough: setup       ## the ledger's tests of random input with ten times the examples (TIMES=10)
	@THOROUGH=$(or $(TIMES),10) exec $(PY) -m tools.stack with --infra-only -- $(PY) -m pytest --timeout 3600 \
		$(addprefix services/ledger/tests/test_,state_machine.py random_postings.py bets_converge.py pages.py)

check: setup          ## lint, types, boundaries, migrations, generated documents
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(foreach package,$(notdir $(MEMBERS)) tools loadtests examples,-p $(package))
	$(PY) -m mypy $(wildcard */*/tests) tools/tests examples/tests tests
	.venv/bin/lint-imports
	$(PY) -m tools.bootstrap check-lock
	$(PY) -m tools.migrations
	$(PY) -m tools.docs --check
	.venv/bin/hadolint Dockerfile
	.venv/bin/docker-compose config -q
	$(PY) -m tools.stack with --infra-only -- $(PY) -m tools.stack schema --check

chaos-payments: setup ## ten seeds of 500 payments against lying providers, our processes killed (SEEDS=1-10 PAYMENTS=500 TWICE=1-10)
	@exec $(PY) -m tools.paychaos many --seeds $(or $(SEEDS),1-10) --payments $(or $(PAYMENTS),500) --twice "$(or $(TWICE),1-10)"

mutations: setup      ## take each guard around the money away in turn: a test must fail each time
	@exec $(PY) -m tools.stack with --infra-only -- $(PY) -m tools.mutations

docs: setup           ## write the generated documents
	$(PY) -m tools.docs

schema: setup         ## write every service's schema.sql from its migrations
	$(PY) -m tools.stack with --infra-only -- $(PY) -m tools.stack schema

lock:                 ## resolve requirements.lock anew
	python3 -m tools.bootstrap lock

setup:
	@python3 -m tools.bootstrap

clean: setup          ## forget the data of every stack that is down
	$(PY) -m tools.stack clean
