/*
 * sanitizer_options.c - makes the sanitizers work in a library that is preloaded into any program
 *
 * Part of the library in builds with a sanitizer only (`make asan`). The
 * runtime is not the first library of such a program, as it would like to be,
 * and only our own code is instrumented: mistakes of the program are not our
 * business, and SIGSEGV and SIGBUS are ringside's and the program's. The options
 * that say so are here, because a variable in the environment is lost where a
 * test runs a program in a clean one. A forked child makes threads of its own,
 * which ThreadSanitizer would rather not follow.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0:detect_leaks=0:handle_segv=0:handle_sigbus=0";
}
