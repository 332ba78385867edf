/*
 * sanitizer_options.c - makes AddressSanitizer work in a library that is preloaded into any program
 *
 * Part of the library in builds with a sanitizer only (`make asan`). Two things
 * differ from a program that was built with the sanitizer:
 *
 * - Its runtime is not the first library, as it would like to be. Only our own
 *   code is instrumented; the program's allocations are not watched. The options
 *   that say so are here, because a variable in the environment is lost where a
 *   test runs a program in a clean one.
 * - Constructors of other libraries call functions that we stand in for before
 *   our constructor had a chance to start the runtime. So it is started while
 *   the loader still relocates us, by the resolver of an indirect function.
 *
 * SIGSEGV and SIGBUS are ringside's and the program's business.
 */
#if defined(__SANITIZE_ADDRESS__)

const char *__asan_default_options(void);
void __asan_init(void);
void sanitizer_start(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0:detect_leaks=0:handle_segv=0:handle_sigbus=0";
}

static void nothing(void)
{
}

__attribute__((no_sanitize_address, used)) static void (*sanitizer_resolve(void))(void)
{
	__asan_init();
	return nothing;
}

__attribute__((ifunc("sanitizer_resolve"))) void sanitizer_start(void);

/* The reference that makes the loader call the resolver. */
__attribute__((used)) static void (*const start)(void) = sanitizer_start;

#else
_Static_assert(1, "a file is not empty in C");
#endif
