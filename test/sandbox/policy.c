/*
 * policy.c - compile a container's seccomp policy for bubblewrap
 *
 * usage: policy [-v] POLICY.json OUTPUT
 *
 * Reads a policy in the JSON format of Docker (moby) and Podman
 * (containers/common) and writes the BPF program that libseccomp makes of it
 * to OUTPUT ("-" is standard output), in the form `bwrap --seccomp FD` loads.
 * The conditions of an entry (includes, excludes) are decided here for the
 * container that such an engine starts when nothing is asked of it: the
 * machine's architecture and kernel, and the engines' default capabilities.
 *
 * A system call that libseccomp does not know by name is left to the default
 * action, as the engines do, and counted (-v prints the counts).
 *
 * Exit status: 0; 1 if the program cannot be written; 2 for a policy that
 * cannot be read or understood, after one line that says where.
 *
 * Entry:     main()
 * Not here:  starting the sandbox (run), refusing io_uring alone (forbid.c)
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	EXIT_CANNOT_WRITE = 1,
	EXIT_BAD_POLICY = 2,
	ARGS_MAX = 6,
	ERRNO_MAX = 133, /* EHWPOISON, the last errno of Linux */
};

/* Lives in main(), for the time of one compilation. */
struct compiler {
	const char *path; /* as the user wrote it, for messages */
	scmp_filter_ctx filter;
	uint32_t default_action;
	struct utsname machine;
	int kernel_major;
	int kernel_minor;
	const char *arch; /* the machine's, as policies name it: "amd64" */

	unsigned int allowed; /* names with a rule that allows, perhaps by argument */
	unsigned int refused; /* names with any other rule */
	unsigned int unknown;
};

/* What Docker and Podman leave to root in a container that asked for nothing. */
static const char *const default_capabilities[] = {
	"CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",
	"CAP_FSETID",      "CAP_KILL",    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
	"CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT",
};

static const struct {
	const char *name;
	enum scmp_compare op;
} comparisons[] = {
	{"SCMP_CMP_NE", SCMP_CMP_NE},
	{"SCMP_CMP_LT", SCMP_CMP_LT},
	{"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_EQ", SCMP_CMP_EQ},
	{"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_GT", SCMP_CMP_GT},
	{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* One line about the policy; returns -EINVAL for the caller to pass on. */
static __attribute__((format(printf, 2, 3))) int reject(const struct compiler *c,
							const char *format, ...)
{
	va_list args;

	fprintf(stderr, "policy: %s: ", c->path);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

static const char *string_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int errno_by_name(const char *name)
{
	for (int error = 1; error <= ERRNO_MAX; error++) {
		const char *known = strerrorname_np(error);

		if (known && !strcmp(known, name))
			return error;
	}
	return -EINVAL;
}

/*
 * The errno of an action stands beside it twice: as a number, and in newer
 * policies as a name, which then counts. EPERM where there is neither.
 */
static int errno_read(const struct compiler *c, const json_t *object, const char *number_key,
		      const char *name_key, uint16_t *error)
{
	const json_t *number = json_object_get(object, number_key);
	const char *name = string_at(object, name_key);
	json_int_t value = EPERM;

	if (number && !json_is_null(number)) {
		if (!json_is_integer(number))
			return reject(c, "%s is not a number", number_key);
		value = json_integer_value(number);
	}
	if (name && *name)
		value = errno_by_name(name);
	if (value < 0 || value > UINT16_MAX)
		return reject(c, "%s or %s names no errno", number_key, name_key);
	*error = (uint16_t)value;
	return 0;
}

static int action_read(const struct compiler *c, const char *name, uint16_t error, uint32_t *action)
{
	const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
		{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(error)},
		{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
		{"SCMP_ACT_LOG", SCMP_ACT_LOG},
		{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(error)},
		{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
	};

	if (!name)
		return reject(c, "an action is missing");
	for (size_t i = 0; i < COUNT_OF(actions); i++) {
		if (!strcmp(actions[i].name, name)) {
			*action = actions[i].action;
			return 0;
		}
	}
	return reject(c, "unknown action '%s'", name);
}

static bool is_default_capability(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(default_capabilities); i++) {
		if (!strcmp(default_capabilities[i], name))
			return true;
	}
	return false;
}

static bool has_string(const json_t *array, const char *wanted)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (text && !strcmp(text, wanted))
			return true;
	}
	return false;
}

static bool is_kernel_at_least(const struct compiler *c, const char *version)
{
	int major = 0;
	int minor = 0;

	if (sscanf(version, "%d.%d", &major, &minor) < 1)
		return false;
	return c->kernel_major > major || (c->kernel_major == major && c->kernel_minor >= minor);
}

/* An entry counts only if all that "includes" names is there. */
static bool is_included(const struct compiler *c, const json_t *conditions)
{
	const json_t *arches = json_object_get(conditions, "arches");
	const json_t *caps = json_object_get(conditions, "caps");
	const char *kernel = string_at(conditions, "minKernel");

	if (json_array_size(arches) && !has_string(arches, c->arch))
		return false;
	for (size_t i = 0; i < json_array_size(caps); i++) {
		const char *name = json_string_value(json_array_get(caps, i));

		if (!name || !is_default_capability(name))
			return false;
	}
	return !kernel || is_kernel_at_least(c, kernel);
}

/* An entry does not count if anything that "excludes" names is there. */
static bool is_excluded(const struct compiler *c, const json_t *conditions)
{
	const json_t *caps = json_object_get(conditions, "caps");
	const char *kernel = string_at(conditions, "minKernel");

	if (has_string(json_object_get(conditions, "arches"), c->arch))
		return true;
	for (size_t i = 0; i < json_array_size(caps); i++) {
		const char *name = json_string_value(json_array_get(caps, i));

		if (name && is_default_capability(name))
			return true;
	}
	return kernel && is_kernel_at_least(c, kernel);
}

static int comparison_read(const struct compiler *c, const json_t *object, struct scmp_arg_cmp *arg)
{
	const json_t *index = json_object_get(object, "index");
	const json_t *value = json_object_get(object, "value");
	const json_t *second = json_object_get(object, "valueTwo");
	const char *op = string_at(object, "op");

	if (!json_is_integer(index) || json_integer_value(index) < 0 ||
	    json_integer_value(index) >= ARGS_MAX)
		return reject(c, "an argument's index is not 0 to %d", ARGS_MAX - 1);
	if (!json_is_integer(value) || (second && !json_is_integer(second)))
		return reject(c, "an argument's value is not a number");
	for (size_t i = 0; op && i < COUNT_OF(comparisons); i++) {
		if (!strcmp(comparisons[i].name, op)) {
			*arg = (struct scmp_arg_cmp){
				.arg = (unsigned int)json_integer_value(index),
				.op = comparisons[i].op,
				.datum_a = (scmp_datum_t)json_integer_value(value),
				.datum_b = (scmp_datum_t)json_integer_value(second),
			};
			return 0;
		}
	}
	return reject(c, "unknown comparison '%s'", op ? op : "");
}

static int args_read(const struct compiler *c, const json_t *array, struct scmp_arg_cmp *args,
		     unsigned int *count)
{
	*count = 0;
	if (!array || json_is_null(array))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > ARGS_MAX)
		return reject(c, "args is not a list of at most %d", ARGS_MAX);
	for (size_t i = 0; i < json_array_size(array); i++) {
		int ret = comparison_read(c, json_array_get(array, i), &args[i]);

		if (ret)
			return ret;
		(*count)++;
	}
	return 0;
}

/*
 * One rule demands all its comparisons at once, but libseccomp takes only one
 * comparison for each argument; of several on one argument the engines make
 * rules of their own, so that any of them is enough. So do we.
 */
static bool has_repeated_argument(const struct scmp_arg_cmp *args, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int j = i + 1; j < count; j++) {
			if (args[i].arg == args[j].arg)
				return true;
		}
	}
	return false;
}

static int rule_add(struct compiler *c, uint32_t action, const char *name,
		    const struct scmp_arg_cmp *args, unsigned int count)
{
	int nr = seccomp_syscall_resolve_name(name);
	int ret = 0;

	if (nr == __NR_SCMP_ERROR) {
		c->unknown++;
		return 0;
	}
	/* libseccomp refuses a rule that repeats the default action, and needs none. */
	if (action == c->default_action)
		return 0;
	if (action == SCMP_ACT_ALLOW)
		c->allowed++;
	else
		c->refused++;

	if (has_repeated_argument(args, count)) {
		for (unsigned int i = 0; i < count && !ret; i++)
			ret = seccomp_rule_add_array(c->filter, action, nr, 1, &args[i]);
	} else {
		ret = seccomp_rule_add_array(c->filter, action, nr, count, args);
	}
	if (ret && ret != -EEXIST)
		return reject(c, "no rule for '%s': %s", name, strerror(-ret));
	return 0;
}

static int entry_compile(struct compiler *c, const json_t *entry)
{
	struct scmp_arg_cmp args[ARGS_MAX];
	const json_t *names = json_object_get(entry, "names");
	const char *single = string_at(entry, "name"); /* the format before 2017 */
	unsigned int count = 0;
	uint32_t action = 0;
	uint16_t error = EPERM;
	int ret;

	if (!json_is_array(names) && !single)
		return reject(c, "an entry without names");
	ret = errno_read(c, entry, "errnoRet", "errno", &error);
	if (!ret)
		ret = action_read(c, string_at(entry, "action"), error, &action);
	if (!ret)
		ret = args_read(c, json_object_get(entry, "args"), args, &count);
	if (ret)
		return ret;
	if (!is_included(c, json_object_get(entry, "includes")) ||
	    is_excluded(c, json_object_get(entry, "excludes")))
		return 0;

	if (single)
		ret = rule_add(c, action, single, args, count);
	for (size_t i = 0; i < json_array_size(names) && !ret; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (!name)
			return reject(c, "a name that is not a string");
		ret = rule_add(c, action, name, args, count);
	}
	return ret;
}

/* "SCMP_ARCH_X86_64" in a policy is "x86_64" in libseccomp; 0 if it knows no such name. */
static uint32_t arch_by_name(const char *name)
{
	static const char prefix[] = "SCMP_ARCH_";
	char lower[32];
	size_t length = 0;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return 0;
	for (name += strlen(prefix); *name && length < sizeof(lower) - 1; name++)
		lower[length++] = (char)tolower((unsigned char)*name);
	lower[length] = '\0';
	return seccomp_arch_resolve_name(lower);
}

static int sub_arches_add(struct compiler *c, const json_t *names)
{
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		uint32_t arch = name ? arch_by_name(name) : 0;
		int ret;

		if (!arch)
			return reject(c, "unknown architecture '%s'", name ? name : "");
		ret = seccomp_arch_add(c->filter, arch);
		if (ret && ret != -EEXIST)
			return reject(c, "no filter for '%s': %s", name, strerror(-ret));
	}
	return 0;
}

/* The filter holds the machine's architecture already; the map adds those it can also run. */
static int arches_add(struct compiler *c, const json_t *map)
{
	for (size_t i = 0; i < json_array_size(map); i++) {
		const json_t *entry = json_array_get(map, i);
		const char *name = string_at(entry, "architecture");
		int ret = 0;

		if (!name)
			return reject(c, "archMap has an entry without architecture");
		if (arch_by_name(name) == seccomp_arch_native())
			ret = sub_arches_add(c, json_object_get(entry, "subArchitectures"));
		if (ret)
			return ret;
	}
	return 0;
}

static int policy_compile(struct compiler *c, const json_t *policy)
{
	const json_t *entries = json_object_get(policy, "syscalls");
	uint16_t error = EPERM;
	int ret;

	ret = errno_read(c, policy, "defaultErrnoRet", "defaultErrno", &error);
	if (!ret)
		ret = action_read(c, string_at(policy, "defaultAction"), error, &c->default_action);
	if (ret)
		return ret;
	if (!json_is_array(entries))
		return reject(c, "no list 'syscalls'");

	c->filter = seccomp_init(c->default_action);
	if (!c->filter)
		return reject(c, "libseccomp makes no filter with this default action");
	/* A balanced tree: with a list every call of a program would pay for all the names. */
	ret = seccomp_attr_set(c->filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (ret)
		return reject(c, "libseccomp does not optimise: %s", strerror(-ret));
	ret = arches_add(c, json_object_get(policy, "archMap"));
	for (size_t i = 0; i < json_array_size(entries) && !ret; i++)
		ret = entry_compile(c, json_array_get(entries, i));
	return ret;
}

/* uname's machine in the spelling of the policies, which is that of Go. */
static int machine_read(struct compiler *c)
{
	if (uname(&c->machine) ||
	    sscanf(c->machine.release, "%d.%d", &c->kernel_major, &c->kernel_minor) != 2)
		return -EINVAL;
	c->arch = c->machine.machine;
	if (!strcmp(c->arch, "x86_64"))
		c->arch = "amd64";
	else if (!strcmp(c->arch, "aarch64"))
		c->arch = "arm64";
	return 0;
}

static int program_write(const struct compiler *c, const char *output)
{
	bool is_stdout = !strcmp(output, "-");
	int fd = STDOUT_FILENO;
	int ret;

	if (!is_stdout)
		fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		ret = -errno;
	} else {
		ret = seccomp_export_bpf(c->filter, fd);
		if (!is_stdout && close(fd) && !ret)
			ret = -errno;
	}
	if (ret)
		fprintf(stderr, "policy: %s: %s\n", output, strerror(-ret));
	return ret;
}

static int usage(void)
{
	fprintf(stderr, "usage: policy [-v] POLICY.json OUTPUT\n");
	return EXIT_BAD_POLICY;
}

int main(int argc, char **argv)
{
	struct compiler c = {0};
	json_error_t error;
	json_t *policy;
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	int arg = verbose ? 2 : 1;
	int status = EXIT_BAD_POLICY;

	if (argc - arg != 2)
		return usage();
	c.path = argv[arg];
	policy = json_load_file(c.path, JSON_REJECT_DUPLICATES, &error);
	if (!policy) {
		if (error.line > 0)
			reject(&c, "line %d: %s", error.line, error.text);
		else
			reject(&c, "%s", error.text);
		return EXIT_BAD_POLICY;
	}
	if (machine_read(&c))
		reject(&c, "this kernel's version cannot be read");
	else if (!json_is_object(policy))
		reject(&c, "not an object");
	else if (!policy_compile(&c, policy))
		status = program_write(&c, argv[arg + 1]) ? EXIT_CANNOT_WRITE : 0;

	if (verbose && !status)
		fprintf(stderr, "policy: %s: %u names allowed, %u refused, %u unknown\n", c.path,
			c.allowed, c.refused, c.unknown);
	if (c.filter)
		seccomp_release(c.filter);
	json_decref(policy);
	return status;
}
