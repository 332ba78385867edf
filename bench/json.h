/*
 * json.h - the little JSON that the benchmark needs: writing a string,
 *          checking a text, finding one number in a text
 */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the text as a JSON string, quotes included. */
void json_string(FILE *out, const char *text);

/* Is the text one JSON value (RFC 8259) and nothing after it? */
bool json_is_valid(const char *text);

/*
 * The number at a path of object members such as "pagein.threads".
 * 0, or -ENOENT if the text is no JSON or has no number there.
 */
int json_number(const char *text, const char *path, double *value);

#endif
