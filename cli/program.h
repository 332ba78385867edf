/*
 * program.h - finds a program as execvp() would
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <stddef.h>

/*
 * The path that execvp(name) would execute: 0, -ENOENT, or -EACCES if all that is there cannot be
 * executed.
 */
int program_find(const char *name, char *path, size_t size);

#endif
