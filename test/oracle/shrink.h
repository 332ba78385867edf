/*
 * shrink.h - the smallest program that still shows a difference
 *
 * Entry:       program_shrink()
 */
#ifndef ORACLE_SHRINK_H
#define ORACLE_SHRINK_H

#include "collect.h"
#include "compare.h"

/*
 * Make `program` smaller as long as the first unexplained difference stays of the
 * kind of `signature`. False if the program itself does not show it again.
 */
bool program_shrink(struct program *program, const struct side sides[2],
		    const struct collect_options *options, struct known *known,
		    const char *signature);

#endif
