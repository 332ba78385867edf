/*
 * options.h - RINGSIDE=option,option and the options of `ringside run`
 *
 *	engine=user|auto   who answers io_uring: ringside, or the kernel's own where it is allowed
 *	trap=auto|on|off   calls from inline assembly are caught by a seccomp filter
 *	stats=FILE         write the counters as JSON when the process exits; %p is its process id
 *	stats_fd=N         the region shared with `ringside run --stats`; internal
 *	verbose            say on stderr what is decided
 *
 * And two variables of their own, since their values may have commas in them:
 *
 *	RINGSIDE_CACHE=SIZE       a page cache of so many bytes; K, M, G: times 1024, ...
 *	RINGSIDE_OWN=GLOB:GLOB    files that are this process's alone, by their paths
 *
 * Options are separated by commas (so FILE has none in it); the last of two
 * that disagree counts; an empty option is passed over.
 *
 * Not here: what a program does about a wrong option. The command says one
 * line and exits 2. So does a preloaded library, at load time: the variable
 * is only there because somebody set it together with LD_PRELOAD for this
 * program, nothing of the program has run yet, and a program that went on
 * with another engine than its operator wrote would be found out hours later.
 * A program that linked ringside itself gets -EINVAL from rs_attach().
 */
#ifndef RS_ENTRY_OPTIONS_H
#define RS_ENTRY_OPTIONS_H

#include "base/types.h"

#define OPTIONS_VARIABLE   "RINGSIDE"
#define OPTIONS_CACHE      "RINGSIDE_CACHE"
#define OPTIONS_OWN        "RINGSIDE_OWN"
#define OPTIONS_PATH_MAX   1024
#define OPTIONS_OWN_MAX    4096
#define OPTIONS_ERROR_SIZE 192

enum options_engine {
	ENGINE_USER,
	ENGINE_AUTO,
};

enum options_trap {
	TRAP_AUTO, /* on where the kernel lets us, silently off where not */
	TRAP_ON,   /* on; a warning where the kernel does not let us */
	TRAP_OFF,
};

struct options {
	enum options_engine engine;
	enum options_trap trap;
	bool verbose;
	int stats_fd;                      /* -1: none */
	char stats_file[OPTIONS_PATH_MAX]; /* "": none */
	u64 cache_bytes;                   /* 0: no cache */
	char own[OPTIONS_OWN_MAX];         /* globs, separated by colons; "": none */
};

#define OPTIONS_INIT ((struct options){.stats_fd = -1})

/* The library's options: those of the environment, once options_from_environment() returned 0. */
extern struct options options;

/*
 * Adds the options in `text` (NULL is empty) to `options`. 0, or -EINVAL and a
 * one-line reason in `error`, at most OPTIONS_ERROR_SIZE bytes; `options` may
 * have been changed by then. Allocates nothing.
 */
int options_parse(struct options *options, const char *text, char *error);

/*
 * The size in `text` (NULL or empty: none) becomes o->cache_bytes, the globs in `globs` (NULL:
 * none) o->own. 0, or -EINVAL and the reason in `error`: no size, less than the cache can
 * work with, more than there is memory, globs without a cache.
 */
int options_parse_cache(struct options *o, const char *text, const char *globs, char *error);

/*
 * Adds those of the environment to the library's options: 0, or -EINVAL,
 * nothing changed and the reason in `error`.
 */
int options_from_environment(char *error);

/* stats_file with each %p replaced by the process id: 0, or -ENAMETOOLONG. */
int options_stats_path(const struct options *options, char *path, size_t size);

#endif
