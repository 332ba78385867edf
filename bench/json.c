/*
 * json.c - one scanner that walks over a JSON value, and its two uses
 *
 * Entry:     json_string(), json_is_valid(), json_number()
 * Not here:  a tree of values; nobody needs one
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/json.h"

#define DEPTH_MAX 32

/* What json_number() looks for; passed down while the walk is on its path. */
struct search {
	const char *path; /* what is left of it, "" when we are there */
	double *value;
	bool found;
};

/* Each skip returns what follows the value, or NULL where it is no JSON. */
static const char *skip_value(const char *at, struct search *search, int depth);

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *skip_digits(const char *at)
{
	size_t count = strspn(at, "0123456789");

	return count ? at + count : NULL;
}

static const char *skip_number(const char *at)
{
	at += *at == '-';
	at = *at == '0' ? at + 1 : skip_digits(at);
	if (at && *at == '.')
		at = skip_digits(at + 1);
	if (at && (*at == 'e' || *at == 'E')) {
		at++;
		at += *at == '+' || *at == '-';
		at = skip_digits(at);
	}
	return at;
}

static const char *skip_string(const char *at)
{
	if (*at != '"')
		return NULL;
	for (at++; *at != '"'; at++) {
		if ((unsigned char)*at < 0x20)
			return NULL;
		if (*at != '\\')
			continue;
		at++;
		if (*at == 'u') {
			if (strspn(at + 1, "0123456789abcdefABCDEF") < 4)
				return NULL;
			at += 4;
		} else if (!*at || !strchr("\"\\/bfnrt", *at)) {
			return NULL;
		}
	}
	return at + 1;
}

/* Narrows the search to this member if its name is next on the path. */
static bool is_on_path(const char *name, size_t len, const struct search *search,
		       struct search *inner)
{
	const char *path = search->path;

	if (strncmp(path, name, len) || (path[len] && path[len] != '.') || !*path)
		return false;
	*inner = *search;
	inner->path = path + len + (path[len] == '.');
	return true;
}

static const char *skip_member(const char *at, struct search *search, int depth)
{
	struct search inner = {0};
	const char *name = at + 1;
	bool wanted;

	at = skip_string(at);
	if (!at)
		return NULL;
	wanted = search && is_on_path(name, (size_t)(at - 1 - name), search, &inner);
	at = skip_space(at);
	if (*at != ':')
		return NULL;
	at = skip_value(at + 1, wanted ? &inner : NULL, depth);
	if (wanted && inner.found)
		search->found = true;
	return at;
}

static const char *skip_list(const char *at, char close, struct search *search, int depth)
{
	if (depth > DEPTH_MAX)
		return NULL;
	at = skip_space(at + 1);
	if (*at == close)
		return at + 1;
	while (at) {
		at = skip_space(at);
		at = close == '}' ? skip_member(at, search, depth) : skip_value(at, NULL, depth);
		if (!at)
			return NULL;
		at = skip_space(at);
		if (*at == close)
			return at + 1;
		at = *at == ',' ? at + 1 : NULL;
	}
	return NULL;
}

static const char *skip_value(const char *at, struct search *search, int depth)
{
	static const char *const words[] = {"true", "false", "null"};

	at = skip_space(at);
	if (*at == '{')
		return skip_list(at, '}', search, depth + 1);
	if (*at == '[')
		return skip_list(at, ']', NULL, depth + 1);
	if (*at == '"')
		return skip_string(at);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strncmp(at, words[i], strlen(words[i])))
			return at + strlen(words[i]);
	if (search && !*search->path) {
		*search->value = strtod(at, NULL);
		search->found = true;
	}
	return skip_number(at);
}

static bool is_whole(const char *text, struct search *search)
{
	const char *end = skip_value(text, search, 0);

	return end && !*skip_space(end);
}

bool json_is_valid(const char *text)
{
	return is_whole(text, NULL);
}

int json_number(const char *text, const char *path, double *value)
{
	double number = 0;
	struct search search = {.path = path, .value = &number};

	if (!is_whole(text, &search) || !search.found)
		return -ENOENT;
	*value = number;
	return 0;
}

void json_string(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}
