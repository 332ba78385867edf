/*
 * compare.c - line by line comparison of outcomes
 *
 * Lines are `where: what`. Those with the same `where` are set against each other
 * (by a longest common subsequence of the wheres, for one place may speak more
 * than once), so a missing CQE is one difference and not a shift of all after it.
 *
 * Entry:       see compare.h
 * Invariants:  C1 a difference is explained by one entry whose two patterns match both
 *                 whole lines, the missing line being "-"
 */
#define _GNU_SOURCE
#include "compare.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 512
#define MISSING   "-"

/* Owner: outcome_compare(). The lines point into a copy of the outcome. */
struct lines {
	char *copy;
	char *line[LINES_MAX];
	int count;
};

static char *field_after(char *line, const char *name)
{
	const size_t length = strlen(name);

	if (strncmp(line, name, length))
		return NULL;
	line += length;
	while (*line == ' ' || *line == '\t')
		line++;
	return strdup(line);
}

static int known_add(struct known *known, struct known_entry *entry)
{
	struct known_entry *entries;

	if (known->count == KNOWN_MAX)
		return -E2BIG;
	entries = realloc(known->entries, (size_t)(known->count + 1) * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	known->entries = entries;
	entries[known->count++] = *entry;
	memset(entry, 0, sizeof(*entry));
	return 0;
}

int known_read(struct known *known, const char *path)
{
	struct known_entry entry = {0};
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int number = 0, ret = 0;

	if (!file) {
		ret = -errno;
		fprintf(stderr, "oracle: %s: %s\n", path, strerror(errno));
		return ret;
	}
	while (!ret && getline(&line, &size, file) >= 0) {
		number++;
		line[strcspn(line, "\n")] = 0;
		if (!line[0] || line[0] == '#')
			continue;
		if (!strncmp(line, "kernel:", 7) && !entry.kernel) {
			entry.kernel = field_after(line, "kernel:");
		} else if (!strncmp(line, "ringside:", 9) && entry.kernel && !entry.ringside) {
			entry.ringside = field_after(line, "ringside:");
		} else if (!strncmp(line, "reason:", 7) && entry.ringside) {
			entry.reason = field_after(line, "reason:");
			ret = known_add(known, &entry);
		} else {
			ret = -EINVAL;
		}
	}
	if (!ret && entry.kernel)
		ret = -EINVAL;
	if (ret == -E2BIG)
		fprintf(stderr, "oracle: %s:%d: more than %d\n", path, number, KNOWN_MAX);
	else if (ret)
		fprintf(stderr, "oracle: %s:%d: expected kernel:, ringside:, reason:, in turn\n",
			path, number);
	free(entry.kernel);
	free(entry.ringside);
	free(line);
	fclose(file);
	return ret;
}

static void lines_split(struct lines *lines, const char *text)
{
	char *save = NULL;

	lines->count = 0;
	lines->copy = strdup(text);
	for (char *line = strtok_r(lines->copy, "\n", &save); line && lines->count < LINES_MAX;
	     line = strtok_r(NULL, "\n", &save))
		lines->line[lines->count++] = line;
}

static bool is_same_place(const char *a, const char *b)
{
	const size_t length = strcspn(a, ":");

	return length == strcspn(b, ":") && !strncmp(a, b, length);
}

/* "batch 1 chain 4 #7 READ: res=3 data=.." becomes "READ: res=3": the same in all programs. */
static void signature_append(char *signature, size_t size, const char *line)
{
	size_t at = strlen(signature);
	const char *end = line + strcspn(line, ":");
	const char *data;

	for (const char *c = line; c < end && at + 2 < size; c++)
		if (!isdigit((unsigned char)*c))
			signature[at++] = *c;
	data = strstr(end, " data=");
	/* How submission was cut into calls depends on what else the program holds. */
	if (strstr(line, " enter:"))
		data = end;
	for (const char *c = end; *c && c != data && at + 2 < size; c++)
		signature[at++] = *c;
	signature[at] = 0;
}

static bool known_find(struct known *known, const char *kernel, const char *ringside)
{
	for (int i = 0; known && i < known->count; i++) {
		struct known_entry *entry = &known->entries[i];

		if (fnmatch(entry->kernel, kernel, 0) || fnmatch(entry->ringside, ringside, 0))
			continue;
		known->met[i] += known->is_counting;
		return true;
	}
	return false;
}

/* How much a difference says by itself: how calls were cut, or who was cancelled, follows. */
static int telling_rank(const char *kernel, const char *ringside)
{
	if (strstr(kernel, " enter:") || strstr(ringside, " wait:"))
		return 0;
	if (strstr(kernel, "final ") || strstr(ringside, "final "))
		return 0;
	return strstr(kernel, "ECANCELED") || strstr(ringside, "ECANCELED") ? 1 : 2;
}

static void judge(struct comparison *comparison, struct known *known, const char *kernel,
		  const char *ringside, FILE *out)
{
	const bool explained = known_find(known, kernel, ringside);
	const int rank = telling_rank(kernel, ringside);

	if (explained) {
		comparison->explained++;
	} else {
		if (!comparison->differences || rank > comparison->rank) {
			comparison->rank = rank;
			comparison->signature[0] = 0;
			signature_append(comparison->signature, 120, kernel);
			strcat(comparison->signature, "  |  ");
			signature_append(comparison->signature, sizeof(comparison->signature),
					 ringside);
		}
		comparison->differences++;
	}
	if (out)
		fprintf(out, "  kernel:   %s\n  ringside: %s%s\n", kernel, ringside,
			explained ? "  (explained)" : "");
}

struct comparison outcome_compare(const char *kernel, const char *ringside, struct known *known,
				  FILE *out)
{
	static short length[LINES_MAX + 1][LINES_MAX + 1];
	static struct lines a, b;
	struct comparison comparison = {0};
	int i, j;

	if (!strcmp(kernel, ringside))
		return comparison;
	lines_split(&a, kernel);
	lines_split(&b, ringside);
	for (i = a.count; i >= 0; i--) {
		for (j = b.count; j >= 0; j--) {
			if (i == a.count || j == b.count)
				length[i][j] = 0;
			else if (is_same_place(a.line[i], b.line[j]))
				length[i][j] = (short)(length[i + 1][j + 1] + 1);
			else
				length[i][j] = length[i + 1][j] > length[i][j + 1]
						       ? length[i + 1][j]
						       : length[i][j + 1];
		}
	}
	for (i = 0, j = 0; i < a.count || j < b.count;) {
		if (i < a.count && j < b.count && is_same_place(a.line[i], b.line[j])) {
			if (strcmp(a.line[i], b.line[j]))
				judge(&comparison, known, a.line[i], b.line[j], out);
			i++;
			j++;
		} else if (j == b.count || (i < a.count && length[i + 1][j] >= length[i][j + 1])) {
			judge(&comparison, known, a.line[i++], MISSING, out);
		} else {
			judge(&comparison, known, MISSING, b.line[j++], out);
		}
	}
	free(a.copy);
	free(b.copy);
	return comparison;
}
