/*
 * exec.c - programs that this one executes stay covered, or it is said why not
 *
 * The seccomp filter survives exec, its handler does not: a program executed
 * without us is killed at its first io_uring call. Programs like to clean the
 * environment of their children, so LD_PRELOAD and our variables are put back;
 * everything else is left as the program wants it.
 *
 * Entry:       the exec family, posix_spawn(), call_exec() for syscall()
 * Invariants:  E1 nothing is allocated: a vfork() child may be calling
 * Locks:       none
 * Not here:    what a program file looks like (cover.c). system() and popen() use libc's own
 *              environment, where our variables are unless the program removed them.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "entry/calls.h"
#include "entry/cover.h"
#include "entry/next.h"
#include "entry/options.h"
#include "entry/route.h"
#include "entry/signals.h"
#include "host/filter.h"
#include "host/usercopy.h"

#define PRELOAD_VARIABLE "LD_PRELOAD"
#define ENVIRONMENT_MAX  16384 /* entries; a longer one is passed on as it is */

extern char **environ;

static char own_preload[PATH_MAX]; /* "": not preloaded */

/* Our variables as we found them: "NAME=...", or "". */
static char text_options[sizeof(OPTIONS_VARIABLE) + OPTIONS_PATH_MAX + 256];
static char text_cache[sizeof(OPTIONS_CACHE) + 64];
static char text_own[sizeof(OPTIONS_OWN) + OPTIONS_OWN_MAX];

#define OWN_VARIABLES 3
static const struct {
	const char *name;
	char *text;
	size_t size;
} own_variables[OWN_VARIABLES] = {
	{OPTIONS_VARIABLE, text_options, sizeof(text_options)},
	{OPTIONS_CACHE, text_cache, sizeof(text_cache)},
	{OPTIONS_OWN, text_own, sizeof(text_own)},
};
static bool has_warned;

/* The text behind `name=` if `entry` is that variable. */
static const char *variable_value(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(entry, name, len) && entry[len] == '=' ? entry + len + 1 : NULL;
}

static bool item_is(const char *item, size_t len, const char *path)
{
	return len == strlen(path) && !memcmp(item, path, len);
}

/* Whether `path` is one of the items of an LD_PRELOAD list, or found by the loader as one. */
static bool preload_has(const char *list, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	while (*list) {
		size_t item = strcspn(list, ": ");

		if (item_is(list, item, path) || item_is(list, item, name))
			return true;
		list += item;
		list += strspn(list, ": ");
	}
	return false;
}

void exec_init(void)
{
	const char *list = getenv(PRELOAD_VARIABLE);
	Dl_info info;

	if (!list || !dladdr((void *)exec_init, &info) || !preload_has(list, info.dli_fname))
		return;
	if (!realpath(info.dli_fname, own_preload))
		own_preload[0] = '\0';
	/*
	 * The program's list is searched for the name that the operator wrote, if it is as good.
	 */
	if (info.dli_fname[0] == '/' && strlen(info.dli_fname) < sizeof(own_preload))
		strcpy(own_preload, info.dli_fname);
	for (int i = 0; i < OWN_VARIABLES; i++) {
		const char *name = own_variables[i].name, *text = getenv(name);

		if (text && strlen(name) + 1 + strlen(text) < own_variables[i].size)
			snprintf(own_variables[i].text, own_variables[i].size, "%s=%s", name, text);
	}
}

bool exec_is_preloaded(void)
{
	return own_preload[0];
}

/* What an environment lacks of ours, and room for it. */
struct environment_plan {
	char *const *from;
	size_t count;
	int preload_at; /* index of LD_PRELOAD, or -1 */
	const char *preload_value;
	bool needs_preload;
	u32 missing; /* bit i: own_variables[i] */
};

static void environment_look(struct environment_plan *plan, char *const *from)
{
	*plan = (struct environment_plan){.from = from, .preload_at = -1};
	if (!own_preload[0] || !from)
		return;
	for (int i = 0; i < OWN_VARIABLES; i++)
		plan->missing |= own_variables[i].text[0] ? 1u << i : 0;
	for (; from[plan->count]; plan->count++) {
		const char *value = variable_value(from[plan->count], PRELOAD_VARIABLE);

		if (value) {
			plan->preload_at = (int)plan->count;
			plan->preload_value = value;
		}
		for (int i = 0; i < OWN_VARIABLES; i++)
			if (variable_value(from[plan->count], own_variables[i].name))
				plan->missing &= ~(1u << i);
		if (plan->count == ENVIRONMENT_MAX) {
			plan->missing = 0;
			return;
		}
	}
	plan->needs_preload =
		!plan->preload_value || !preload_has(plan->preload_value, own_preload);
}

static size_t environment_text_size(const struct environment_plan *plan)
{
	return sizeof(PRELOAD_VARIABLE) + sizeof(own_preload) + 1 +
	       (plan->preload_value ? strlen(plan->preload_value) : 0);
}

static char **environment_fill(const struct environment_plan *plan, char **list, char *text)
{
	size_t count = plan->count;

	memcpy(list, plan->from, count * sizeof(*list));
	if (plan->needs_preload) {
		snprintf(text, environment_text_size(plan), "%s=%s%s%s", PRELOAD_VARIABLE,
			 own_preload, plan->preload_value && *plan->preload_value ? ":" : "",
			 plan->preload_value ? plan->preload_value : "");
		if (plan->preload_at >= 0)
			list[plan->preload_at] = text;
		else
			list[count++] = text;
	}
	for (int i = 0; i < OWN_VARIABLES; i++)
		if (plan->missing >> i & 1)
			list[count++] = own_variables[i].text;
	list[count] = NULL;
	return list;
}

/* `environment` with our variables in it; on the stack of the calling function, hence a macro. */
#define WITH_OURS(environment)                                                                     \
	({                                                                                         \
		struct environment_plan plan_;                                                     \
		char *const *result_ = (environment);                                              \
		environment_look(&plan_, result_);                                                 \
		if (plan_.needs_preload || plan_.missing)                                          \
			result_ = environment_fill(&plan_,                                         \
						   alloca((plan_.count + OWN_VARIABLES + 2) *      \
							  sizeof(char *)),                         \
						   alloca(environment_text_size(&plan_)));         \
		result_;                                                                           \
	})

void exec_warn(const char *path)
{
	struct cover cover;
	const char *reason;

	if (has_warned || !route_setup_is_user() || cover_examine(path, false, &cover))
		return;
	reason = cover_refusal(&cover);
	if (!reason)
		return;
	has_warned = true;
	if (filter_is_installed() && !cover.is_foreign)
		log_warn(
			"%s cannot be covered: %s; if it uses io_uring it will be killed by SIGSYS "
			"(RINGSIDE=trap=off avoids that)",
			path, reason);
	else
		log_warn("%s cannot be covered: %s; its io_uring calls go to the kernel", path,
			 reason);
}

/* The same for a name that is looked for on PATH, as execvp() will. */
static void exec_warn_on_path(const char *file)
{
	const char *folders = getenv("PATH");
	char path[COVER_PATH];

	if (has_warned || !route_setup_is_user())
		return;
	if (strchr(file, '/'))
		return exec_warn(file);
	if (!folders)
		folders = "/bin:/usr/bin";
	while (*folders) {
		size_t len = strcspn(folders, ":");
		int written = snprintf(path, sizeof(path), "%.*s/%s", (int)len, len ? folders : ".",
				       file);

		if (written < (int)sizeof(path) && !host_call(SYS_faccessat, AT_FDCWD, path, X_OK))
			return exec_warn(path);
		folders += len;
		folders += *folders == ':';
	}
}

static void exec_warn_at(int folder, const char *path, int flags)
{
	char joined[COVER_PATH];

	if (has_warned || !route_setup_is_user())
		return;
	if (flags > 0 && (flags & AT_EMPTY_PATH) && !*path)
		snprintf(joined, sizeof(joined), "/proc/self/fd/%d", folder);
	else if (folder == AT_FDCWD || *path == '/')
		snprintf(joined, sizeof(joined), "%s", path);
	else
		snprintf(joined, sizeof(joined), "/proc/self/fd/%d/%s", folder, path);
	exec_warn(joined);
}

static long exec_at(int folder, const char *path, char *const *argv, char *const *environment,
		    int flags)
{
	char *const *with_ours = WITH_OURS(environment);
	struct signals_exec signals;
	long err;

	exec_warn_at(folder, path, flags);
	signals_exec_prepare(&signals);
	if (flags < 0)
		err = host_call(SYS_execve, path, argv, with_ours);
	else
		err = host_call(SYS_execveat, folder, path, argv, with_ours, flags);
	signals_exec_failed(&signals);
	return err;
}

/*
 * Whether a NULL-ended array of strings can be read: it is walked by us before the kernel sees
 * it.
 */
static bool list_is_readable(char *const *list)
{
	char *entry = NULL;
	char text;

	for (size_t i = 0; list && i < ENVIRONMENT_MAX; i++) {
		if (copy_from_user(&entry, &list[i], sizeof(entry)))
			return false;
		if (!entry)
			break;
		/* The whole string, a piece at a time; strings are short. */
		for (const char *at = entry;; at++) {
			if (copy_from_user(&text, at, 1))
				return false;
			if (!text)
				break;
		}
	}
	return true;
}

long call_exec(int folder, const char *path, char **argv, char **environment, int flags)
{
	char text[PATH_MAX];

	if (string_from_user(text, path, sizeof(text)) < 0 || !list_is_readable(environment)) {
		if (flags < 0)
			return host_call(SYS_execve, path, argv, environment);
		return host_call(SYS_execveat, folder, path, argv, environment, flags);
	}
	return exec_at(folder, text, argv, environment, flags);
}

/* libc's functions */

RS_EXPORT int execve(const char *path, char *const *argv, char *const *environment)
{
	return (int)libc_result(exec_at(AT_FDCWD, path, argv, environment, -1));
}

RS_EXPORT int execv(const char *path, char *const *argv)
{
	return execve(path, argv, environ);
}

RS_EXPORT int execveat(int folder, const char *path, char *const *argv, char *const *environment,
		       int flags)
{
	return (int)libc_result(exec_at(folder, path, argv, environment, flags));
}

RS_EXPORT int fexecve(int fd, char *const *argv, char *const *environment)
{
	if (fd < 0)
		return (int)libc_result(-EINVAL);
	return execveat(fd, "", argv, environment, AT_EMPTY_PATH);
}

RS_EXPORT int execvpe(const char *file, char *const *argv, char *const *environment)
{
	char *const *with_ours = WITH_OURS(environment);
	struct signals_exec signals;
	int ret;

	exec_warn_on_path(file);
	signals_exec_prepare(&signals);
	ret = next_get(execvpe)(file, argv, with_ours);
	signals_exec_failed(&signals);
	return ret;
}

RS_EXPORT int execvp(const char *file, char *const *argv)
{
	return execvpe(file, argv, environ);
}

/*
 * The arguments of an execl() as an array on the stack, from `first` to the NULL that ends them.
 */
#define ARGUMENTS(list, first)                                                                     \
	({                                                                                         \
		va_list count_list_;                                                               \
		size_t count_ = 1;                                                                 \
		char **argv_;                                                                      \
		va_copy(count_list_, list);                                                        \
		for (const char *at_ = (first); at_; at_ = va_arg(count_list_, const char *))      \
			count_++;                                                                  \
		va_end(count_list_);                                                               \
		argv_ = alloca(count_ * sizeof(char *));                                           \
		argv_[0] = (char *)(uintptr_t)(first);                                             \
		for (size_t i_ = 1; i_ < count_; i_++)                                             \
			argv_[i_] = va_arg(list, char *);                                          \
		argv_;                                                                             \
	})

RS_EXPORT int execl(const char *path, const char *first, ...)
{
	va_list list;
	char **argv;

	va_start(list, first);
	argv = ARGUMENTS(list, first);
	va_end(list);
	return execve(path, argv, environ);
}

RS_EXPORT int execlp(const char *file, const char *first, ...)
{
	va_list list;
	char **argv;

	va_start(list, first);
	argv = ARGUMENTS(list, first);
	va_end(list);
	return execvpe(file, argv, environ);
}

RS_EXPORT int execle(const char *path, const char *first, ...)
{
	char **argv, **environment;
	va_list list;

	va_start(list, first);
	argv = ARGUMENTS(list, first);
	environment = va_arg(list, char **);
	va_end(list);
	return execve(path, argv, environment);
}

RS_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attributes, char *const *argv,
			  char *const *environment)
{
	char *const *with_ours = WITH_OURS(environment);

	exec_warn(path);
	return next_get(posix_spawn)(pid, path, actions, attributes, argv, with_ours);
}

RS_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attributes, char *const *argv,
			   char *const *environment)
{
	char *const *with_ours = WITH_OURS(environment);

	exec_warn_on_path(file);
	return next_get(posix_spawnp)(pid, file, actions, attributes, argv, with_ours);
}
