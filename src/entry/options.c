/*
 * options.c - reads RINGSIDE=option,option
 *
 * One table names the options; the library and the command read it alike.
 * Nothing here allocates: the library parses before the program's malloc()
 * may be ready.
 *
 * Entry:  options_from_environment() (library), options_parse() (command)
 */
#define _GNU_SOURCE
#include "entry/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "cache/cache.h"
#include "host/memory.h"

struct options options = OPTIONS_INIT;

/* A value as it stands between '=' and ','. */
struct value {
	const char *text;
	size_t len;
};

static bool value_is(struct value value, const char *word)
{
	return strlen(word) == value.len && !memcmp(value.text, word, value.len);
}

/* The index of `value` in `words`, or -EINVAL. */
static int value_choose(struct value value, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (value_is(value, words[i]))
			return i;
	return -EINVAL;
}

static int set_engine(struct options *o, struct value value)
{
	static const char *const words[] = {[ENGINE_USER] = "user", [ENGINE_AUTO] = "auto"};
	int choice = value_choose(value, words, ARRAY_SIZE(words));

	if (choice < 0)
		return choice;
	o->engine = (enum options_engine)choice;
	return 0;
}

static int set_trap(struct options *o, struct value value)
{
	static const char *const words[] = {
		[TRAP_AUTO] = "auto", [TRAP_ON] = "on", [TRAP_OFF] = "off"};
	int choice = value_choose(value, words, ARRAY_SIZE(words));

	if (choice < 0)
		return choice;
	o->trap = (enum options_trap)choice;
	return 0;
}

static int set_stats(struct options *o, struct value value)
{
	if (value.len == 0 || value.len >= sizeof(o->stats_file))
		return -EINVAL;
	memcpy(o->stats_file, value.text, value.len);
	o->stats_file[value.len] = '\0';
	return 0;
}

static int set_stats_fd(struct options *o, struct value value)
{
	int fd = 0;

	if (value.len == 0 || value.len > 7)
		return -EINVAL;
	for (size_t i = 0; i < value.len; i++) {
		if (value.text[i] < '0' || value.text[i] > '9')
			return -EINVAL;
		fd = fd * 10 + (value.text[i] - '0');
	}
	o->stats_fd = fd;
	return 0;
}

static int set_verbose(struct options *o, struct value value)
{
	(void)value;
	o->verbose = true;
	return 0;
}

static const struct option_name {
	const char *name;
	const char *values; /* for the reader of an error; NULL: takes none */
	int (*set)(struct options *o, struct value value);
} option_names[] = {
	{"engine", "user or auto", set_engine}, {"trap", "auto, on or off", set_trap},
	{"stats", "a file name", set_stats},    {"stats_fd", "a descriptor", set_stats_fd},
	{"verbose", NULL, set_verbose},
};

static const struct option_name *option_find(struct value name)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_names); i++)
		if (value_is(name, option_names[i].name))
			return &option_names[i];
	return NULL;
}

/* One option: "name" or "name=value", `len` bytes. */
static int option_set(struct options *o, const char *text, size_t len, char *error)
{
	const char *equals = memchr(text, '=', len);
	struct value name = {text, equals ? (size_t)(equals - text) : len};
	const struct option_name *option = option_find(name);
	struct value value = {NULL, 0};

	if (option == NULL) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			 "unknown option '%.*s' (known: engine, trap, stats, verbose)",
			 (int)min_of(name.len, (size_t)60), text);
		return -EINVAL;
	}
	if (option->values == NULL && equals) {
		snprintf(error, OPTIONS_ERROR_SIZE, "option '%s' takes no value", option->name);
		return -EINVAL;
	}
	if (equals)
		value = (struct value){equals + 1, len - name.len - 1};
	if (option->values && (!equals || option->set(o, value))) {
		snprintf(error, OPTIONS_ERROR_SIZE, "option '%s' wants %s, not '%.*s'",
			 option->name, option->values, (int)min_of(value.len, (size_t)60),
			 value.text ? value.text : "");
		return -EINVAL;
	}
	return option->values ? 0 : option->set(o, value);
}

int options_parse(struct options *o, const char *text, char *error)
{
	error[0] = '\0';
	while (text && *text) {
		size_t len = strcspn(text, ",");
		int err = len ? option_set(o, text, len, error) : 0;

		if (err)
			return err;
		text += len;
		text += *text == ',';
	}
	return 0;
}

/* Bytes, or 0: not a size. */
static u64 size_of(const char *text)
{
	static const char units[] = "KMGT";
	u64 bytes = 0;
	const char *unit;

	if (*text < '0' || *text > '9')
		return 0;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(bytes, (u64)10, &bytes) ||
		    __builtin_add_overflow(bytes, (u64)(*text - '0'), &bytes))
			return 0;
	if (*text == '\0')
		return bytes;
	unit = strchr(units, *text & ~0x20); /* either case */
	if (unit == NULL || text[1] != '\0' || bytes > UINT64_MAX >> (10 * (unit - units + 1)))
		return 0;
	return bytes << (10 * (unit - units + 1));
}

int options_parse_cache(struct options *o, const char *text, const char *globs, char *error)
{
	u64 bytes, limit = memory_bytes();

	error[0] = '\0';
	if (text && *text) {
		bytes = size_of(text);
		if (bytes == 0)
			snprintf(error, OPTIONS_ERROR_SIZE,
				 "the cache wants a size such as 512M or 2G, not '%.60s'", text);
		else if (bytes < CACHE_LIMIT_MIN)
			snprintf(error, OPTIONS_ERROR_SIZE,
				 "a cache of '%.60s' is too small: %lluM at least", text,
				 CACHE_LIMIT_MIN >> 20);
		else if (bytes > limit)
			snprintf(error, OPTIONS_ERROR_SIZE,
				 "a cache of '%.60s' is more than the memory there is: %lluM", text,
				 (unsigned long long)limit >> 20);
		if (error[0])
			return -EINVAL;
		o->cache_bytes = bytes;
	}
	if (globs == NULL || *globs == '\0')
		return 0;
	if (o->cache_bytes == 0)
		snprintf(error, OPTIONS_ERROR_SIZE, "files can be owned only if there is a cache");
	else if (strlen(globs) >= sizeof(o->own))
		snprintf(error, OPTIONS_ERROR_SIZE,
			 "more than %d bytes of patterns of files to own", OPTIONS_OWN_MAX - 1);
	if (error[0])
		return -EINVAL;
	strcpy(o->own, globs);
	return 0;
}

int options_from_environment(char *error)
{
	struct options fresh = options;
	int err = options_parse(&fresh, secure_getenv(OPTIONS_VARIABLE), error);

	if (!err)
		err = options_parse_cache(&fresh, secure_getenv(OPTIONS_CACHE),
					  secure_getenv(OPTIONS_OWN), error);
	if (!err)
		options = fresh;
	return err;
}

int options_stats_path(const struct options *o, char *path, size_t size)
{
	size_t used = 0;

	for (const char *from = o->stats_file; *from; from++) {
		int len = 1;

		if (from[0] == '%' && from[1] == 'p') {
			len = snprintf(path + used, size - used, "%ld", raw_syscall0(SYS_getpid));
			from++;
		} else if (used + 1 < size) {
			path[used] = *from;
		}
		used += (size_t)len;
		if (used >= size)
			return -ENAMETOOLONG;
	}
	path[used] = '\0';
	return 0;
}
