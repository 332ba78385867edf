/*
 * supervise.h - stays beside a program until it ends, and then ends as it did
 */
#ifndef CLI_SUPERVISE_H
#define CLI_SUPERVISE_H

struct supervised {
	int status;     /* as of waitpid() */
	int exec_error; /* errno, if the program could not be executed */
};

/*
 * Runs argv as execvp() does, passes signals on, stops when it stops, and waits
 * for its end. 0; -ECHILD if it could not be executed; another -errno if there
 * is no process for it.
 */
int supervise(char **argv, struct supervised *end);

/* Ends this process by the signal that ended the program (without a core: there is one already), or
 * returns its exit status for main() to return. */
int supervise_end_alike(const struct supervised *end);

#endif
