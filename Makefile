# The front door: each target installs what is missing, then meson and ninja
# build and the scripts of test/ and tools/ do the rest. `make help` lists them.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
N ?= 5000
SEED ?= 1
SECONDS ?= 200
CASES ?=

# $(call setup,DIRECTORY,MESON OPTIONS): once; only what goes wrong is shown
setup = test -f $(1)/build.ninja || meson setup $(2) $(1) >/dev/null || meson setup $(2) $(1)

.PHONY: all check demo bench install asan ubsan tsan tidy oracle fuzz format clean help

all: ## build ringside, libringside.so and libringside.a in build/ (the default)
	@tools/install-packages build
	@$(call setup,$(BUILD),-Dprefix=$(PREFIX))
	@ninja -C $(BUILD)

check: ## run every test; the last line is the totals
	@tools/install-packages build check
	@$(MAKE) --no-print-directory all
	@test/run $(BUILD)

demo: ## fio in a container's sandbox: refused, then under ringside
	@tools/install-packages build demo
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)

bench: ## compare with the kernel's io_uring: make bench CASES="--quick nop32"
	@tools/install-packages build bench
	@$(MAKE) --no-print-directory all
	@$(BUILD)/ringside bench $(CASES)

install: ## install below PREFIX (/usr/local), into DESTDIR if that is set
	@tools/install-packages build
	@$(MAKE) --no-print-directory all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet
	@test -n "$(DESTDIR)" || test "$$(id -u)" -ne 0 || ldconfig

asan: ## run the tests with AddressSanitizer, in build-asan/
	@tools/install-packages build check
	@$(call setup,build-asan,-Db_sanitize=address)
	@ninja -C build-asan
	@test/run build-asan

ubsan: ## run the tests with UndefinedBehaviorSanitizer, in build-ubsan/
	@tools/install-packages build check
	@$(call setup,build-ubsan,-Db_sanitize=undefined)
	@ninja -C build-ubsan
	@test/run build-ubsan

tsan: ## run the tests with ThreadSanitizer, in build-tsan/
	@tools/install-packages build check
	@$(call setup,build-tsan,-Db_sanitize=thread)
	@ninja -C build-tsan
	@test/run build-tsan

tidy: ## check the sources' form: formatting, layers, symbols, analysers
	@tools/install-packages build tidy
	@$(call setup,$(BUILD),-Dprefix=$(PREFIX))
	@tools/tidy $(BUILD)

format: ## lay the C sources out by .clang-format
	@tools/install-packages tidy
	@git ls-files '*.c' '*.h' | xargs clang-format -i

oracle: ## compare random programs with the kernel: make oracle N=100000 SEED=7
	@tools/install-packages build
	@$(MAKE) --no-print-directory all
	@$(BUILD)/test/oracle/oracle --lib $(BUILD)/libringside.so \
		--known test/oracle/known-differences --programs $(N) --seed $(SEED)

fuzz: ## fuzz each of three targets for 200 s: make fuzz SECONDS=20
	@tools/install-packages build check
	@$(MAKE) --no-print-directory all
	@test/fuzz/run.sh $(BUILD) $(SECONDS)

clean: ## remove what was built
	@rm -rf build build-asan build-ubsan build-tsan

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8 | sed 's/^/  make /'
