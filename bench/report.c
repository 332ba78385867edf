/*
 * report.c - prints results
 *
 * Entry:     report_header(), report_case(), report_json()
 * Not here:  any judgement beyond "the figure is reached": a benchmark shows,
 *            it does not decide
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench/json.h"
#include "bench/report.h"

/* One line of the table; the last column that has text ends it. */
static void print_line(const char *name, const char *what, const char *kernel, const char *ringside,
		       const char *ratio, const char *quartiles, const char *reach,
		       const char *remark)
{
	char line[512];
	int len = snprintf(line, sizeof(line), "%-10s %-44s %10s %10s %8s %13s %9s  %s", name, what,
			   kernel, ringside, ratio, quartiles, reach, remark);

	assert(len >= 0 && (size_t)len < sizeof(line));
	while (len > 0 && line[len - 1] == ' ')
		line[--len] = '\0';
	puts(line);
}

void report_header(const struct report_setting *setting)
{
	if (setting->null)
		puts("both sides are the kernel's io_uring: the ratios show this machine's noise");
	print_line("case", "what", "kernel", setting->null ? "kernel" : "ringside", "ratio",
		   "quartiles", "to reach", "");
	print_line("", "", "ns/op", "ns/op", "", "", "", "");
	fflush(stdout);
}

static const char *verdict(bool reached)
{
	return reached ? "reached" : "not reached";
}

static void print_timing(const char *name, const char *what, const struct timing *other,
			 const struct timing *own, double target)
{
	char kernel[32] = "-", ringside[32], ratio[32] = "-", quartiles[64] = "-", reach[32];

	snprintf(ringside, sizeof(ringside), "%.1f", own->ns.median);
	snprintf(reach, sizeof(reach), "%.2f", target);
	if (other->has) {
		snprintf(kernel, sizeof(kernel), "%.1f", other->ns.median);
		snprintf(ratio, sizeof(ratio), "%.2f", other->ratio.median);
		snprintf(quartiles, sizeof(quartiles), "%.2f..%.2f", other->ratio.low,
			 other->ratio.high);
	}
	print_line(name, what, kernel, ringside, ratio, quartiles, reach,
		   other->has ? verdict(other->ratio.median >= target) : "not known");
}

static const struct bench_case *rival_of(const struct bench_case *row)
{
	for (unsigned int i = 0; i < bench_case_count; i++)
		if (!strcmp(bench_cases[i].name, row->rival))
			return &bench_cases[i];
	return NULL;
}

static bool stat_reached(const struct bench_stat *stat, double value)
{
	return stat->is_minimum ? value >= (double)stat->want : value == (double)stat->want;
}

static void print_stats(const struct result *result)
{
	const struct bench_stat *stats = result->row->stats;
	char value[32], want[32];

	for (unsigned int i = 0; i < 3 && stats[i].path; i++) {
		snprintf(value, sizeof(value), "%.0f", result->stat[i]);
		snprintf(want, sizeof(want), "%s%ld", stats[i].is_minimum ? ">= " : "",
			 stats[i].want);
		print_line("", stats[i].key, "", result->has_stat[i] ? value : "-", "", "", want,
			   !result->has_stat[i]
				   ? "not known"
				   : verdict(stat_reached(&stats[i], result->stat[i])));
	}
}

/* The times are those of one thread and of two. Only our own scaling has a figure to reach. */
static void print_scaling(const char *name, const char *what, const struct scaling *scale,
			  double target)
{
	char one[32], two[32], ratio[32], quartiles[64], reach[32] = "";

	if (!scale->has)
		return;
	snprintf(one, sizeof(one), "%.1f", scale->one.median);
	snprintf(two, sizeof(two), "%.1f", scale->two.median);
	snprintf(ratio, sizeof(ratio), "%.2f", scale->ratio.median);
	snprintf(quartiles, sizeof(quartiles), "%.2f..%.2f", scale->ratio.low, scale->ratio.high);
	if (target > 0)
		snprintf(reach, sizeof(reach), "%.2f", target);
	print_line(name, what, one, two, ratio, quartiles, reach,
		   target > 0 ? verdict(scale->ratio.median >= target) : "");
}

static void print_scale(const struct result *result)
{
	const struct bench_case *row = result->row;
	char what[64];

	print_scaling(row->name, row->what, &result->ringside_scale, row->target);
	snprintf(what, sizeof(what), "  by 1 and by 2 threads: %s", rival_of(row)->what);
	print_scaling("", what, &result->rival_scale, 0);
	print_scaling("", "  by 1 and by 2 threads: kernel io_uring", &result->kernel_scale, 0);
	if (result->refusal[0])
		printf("%-10s   the kernel's io_uring: %s\n", "", result->refusal);
}

static void print_cache(const struct result *result)
{
	char share[32], limit[32], what[64];

	snprintf(what, sizeof(what), "%s, %%", result->row->what);
	snprintf(share, sizeof(share), "%.2f", result->share);
	snprintf(limit, sizeof(limit), "<= %.0f", result->row->target);
	print_line(result->row->name, what, "-", share, "-", "-", limit,
		   verdict(result->share <= result->row->target));
}

static void print_hold(const struct result *result)
{
	char bytes[32], limit[32], what[64];

	snprintf(bytes, sizeof(bytes), "%.0f", result->bytes);
	snprintf(limit, sizeof(limit), "<= %.0f", result->row->target);
	snprintf(what, sizeof(what), "%s, bytes", result->row->what);
	print_line(result->row->name, what, "-", bytes, "-", "-", limit,
		   verdict(result->bytes <= result->row->target));
	for (unsigned int i = 0; i < HOLD_KINDS; i++) {
		snprintf(bytes, sizeof(bytes), "%.0f", result->kind_bytes[i]);
		snprintf(what, sizeof(what), "  of these: %s", hold_kinds[i]);
		print_line("", what, "", bytes, "", "", "", "");
	}
}

void report_case(const struct result *result)
{
	const struct bench_case *row = result->row;
	char what[64];

	if (result->state != RESULT_MEASURED) {
		printf("%-10s %s: %s\n", row->name,
		       result->state == RESULT_SKIPPED ? "skipped" : "FAILED", result->why);
	} else if (row->measure == MEASURE_HOLD) {
		print_hold(result);
	} else if (row->measure == MEASURE_CACHE) {
		print_cache(result);
	} else if (row->measure == MEASURE_SCALE) {
		print_scale(result);
		print_stats(result);
	} else {
		print_timing(row->name, row->what, &result->kernel, &result->ringside, row->target);
		if (result->refusal[0])
			printf("%-10s   the kernel's io_uring: %s\n", "", result->refusal);
		if (row->rival) {
			snprintf(what, sizeof(what), "  against %s", rival_of(row)->what);
			print_timing("", what, &result->rival, &result->ringside,
				     row->rival_target);
		}
		print_stats(result);
	}
	fflush(stdout);
}

/* A key and a number, or null for what is not known. */
static void put_number(FILE *out, const char *prefix, const char *key, bool known, double value)
{
	if (known && isfinite(value))
		fprintf(out, ", \"%s%s\": %.6g", prefix, key, value);
	else
		fprintf(out, ", \"%s%s\": null", prefix, key);
}

static void put_bool(FILE *out, const char *prefix, const char *key, bool known, bool value)
{
	fprintf(out, ", \"%s%s\": %s", prefix, key, !known ? "null" : value ? "true" : "false");
}

static void put_text(FILE *out, const char *key, const char *text)
{
	fprintf(out, ", \"%s\": ", key);
	json_string(out, text);
}

static void put_ratio(FILE *out, const char *prefix, const struct timing *other, double target)
{
	put_number(out, prefix, "ratio", other->has, other->ratio.median);
	put_number(out, prefix, "ratio_low", other->has, other->ratio.low);
	put_number(out, prefix, "ratio_high", other->has, other->ratio.high);
	put_number(out, prefix, "target", true, target);
	put_bool(out, prefix, "reached", other->has, other->ratio.median >= target);
}

static void put_times(FILE *out, const struct result *result)
{
	const struct bench_case *row = result->row;
	bool measured = result->state == RESULT_MEASURED;
	char prefix[32];

	put_number(out, "kernel_", "cpu_ns", result->kernel.has, result->kernel.cpu_ns.median);
	put_number(out, "ringside_", "cpu_ns", measured, result->ringside.cpu_ns.median);
	put_number(out, "", "rounds", measured, result->rounds);
	if (row->rival) {
		snprintf(prefix, sizeof(prefix), "%s_", row->rival_label);
		put_number(out, prefix, "ns", result->rival.has, result->rival.ns.median);
		put_number(out, prefix, "cpu_ns", result->rival.has, result->rival.cpu_ns.median);
		put_ratio(out, prefix, &result->rival, row->rival_target);
	}
	for (unsigned int i = 0; i < 3 && row->stats[i].path; i++) {
		put_number(out, "", row->stats[i].key, result->has_stat[i], result->stat[i]);
		put_number(out, row->stats[i].key, "_target", true, (double)row->stats[i].want);
	}
}

static void put_scaling(FILE *out, const char *prefix, const struct scaling *scale)
{
	put_number(out, prefix, "ratio", scale->has, scale->ratio.median);
	put_number(out, prefix, "ratio_low", scale->has, scale->ratio.low);
	put_number(out, prefix, "ratio_high", scale->has, scale->ratio.high);
	put_number(out, prefix, "one_thread_ns", scale->has, scale->one.median);
	put_number(out, prefix, "two_threads_ns", scale->has, scale->two.median);
}

/* `ratio` is ringside by two threads against ringside by one. */
static void put_scale(FILE *out, const struct result *result)
{
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "%s_", result->row->rival_label);
	put_scaling(out, "", &result->ringside_scale);
	put_scaling(out, "kernel_", &result->kernel_scale);
	put_scaling(out, prefix, &result->rival_scale);
	put_number(out, "", "target", true, result->row->target);
	put_bool(out, "", "reached", result->ringside_scale.has,
		 result->ringside_scale.ratio.median >= result->row->target);
	put_number(out, "", "rounds", result->state == RESULT_MEASURED, result->rounds);
}

static void put_cache(FILE *out, const struct result *result)
{
	bool measured = result->state == RESULT_MEASURED;

	put_number(out, "", "ratio", false, 0);
	put_number(out, "", "bytes", measured, result->bytes);
	put_number(out, "", "percent", measured, result->share);
	put_number(out, "", "target_percent", true, result->row->target);
	put_bool(out, "", "reached", measured, result->share <= result->row->target);
}

static void put_hold(FILE *out, const struct result *result)
{
	bool measured = result->state == RESULT_MEASURED;

	put_number(out, "", "bytes", measured, result->bytes);
	for (unsigned int i = 0; i < HOLD_KINDS; i++)
		put_number(out, hold_kinds[i], "_bytes", measured, result->kind_bytes[i]);
	put_number(out, "", "target_bytes", true, result->row->target);
	put_bool(out, "", "reached", measured, result->bytes <= result->row->target);
}

static void put_case(FILE *out, const struct result *result)
{
	static const char *const states[] = {
		[RESULT_MEASURED] = "measured",
		[RESULT_SKIPPED] = "skipped",
		[RESULT_FAILED] = "failed",
	};
	const struct bench_case *row = result->row;

	fputs("    {\"name\": ", out);
	json_string(out, row->name);
	put_number(out, "", "kernel_ns", result->kernel.has, result->kernel.ns.median);
	put_number(out, "", "ringside_ns", result->ringside.has, result->ringside.ns.median);
	if (row->measure == MEASURE_HOLD) {
		put_number(out, "", "ratio", false, 0);
		put_hold(out, result);
	} else if (row->measure == MEASURE_CACHE) {
		put_cache(out, result);
	} else if (row->measure == MEASURE_SCALE) {
		put_scale(out, result);
	} else {
		put_ratio(out, "", &result->kernel, row->target);
		put_times(out, result);
	}
	put_text(out, "what", row->what);
	put_text(out, "state", states[result->state]);
	if (result->state != RESULT_MEASURED)
		put_text(out, "why", result->why);
	if (result->refusal[0])
		put_text(out, "kernel_refusal", result->refusal);
	putc('}', out);
}

/* The model name of the first processor; aarch64 tells none. */
static void cpu_model(char *model, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(model, size, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(model, size, "%s", value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void put_machine(FILE *out, const struct report_setting *setting)
{
	struct utsname names = {0};
	double load[1] = {0};
	struct statfs fs = {0};
	char model[256];

	uname(&names);
	cpu_model(model, sizeof(model));
	fputs("  \"machine\": {\"kernel\": ", out);
	json_string(out, names.release);
	put_text(out, "arch", names.machine);
	put_text(out, "cpu", model);
	put_number(out, "", "cpus", true, (double)sysconf(_SC_NPROCESSORS_ONLN));
	put_number(out, "", "memory_mib", true,
		   (double)sysconf(_SC_PHYS_PAGES) / 1048576 * (double)sysconf(_SC_PAGESIZE));
	put_number(out, "", "load", getloadavg(load, 1) == 1, load[0]);
	if (!statfs(setting->folder, &fs))
		fprintf(out, ", \"filesystem_magic\": \"0x%lx\"", (unsigned long)fs.f_type);
	fputs("},\n", out);
}

char *report_json(const struct report_setting *setting, const struct result *results,
		  unsigned int count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool bad;

	if (!out)
		return NULL;
	fputs("{\n", out);
	put_machine(out, setting);
	fprintf(out,
		"  \"setting\": {\"quick\": %s, \"null\": %s, \"rounds\": %u, \"slice_ms\": %u,",
		setting->quick ? "true" : "false", setting->null ? "true" : "false",
		setting->rounds, setting->slice_ms);
	fputs(" \"times\": \"median of the rounds\",", out);
	fputs(" \"ratios\": \"median of the rounds' ratios\"},\n", out);
	fputs("  \"cases\": [\n", out);
	for (unsigned int i = 0; i < count; i++) {
		put_case(out, &results[i]);
		fputs(i + 1 < count ? ",\n" : "\n", out);
	}
	fputs("  ]\n}\n", out);
	bad = ferror(out);
	if (fclose(out) || bad) {
		free(text);
		return NULL;
	}
	assert(json_is_valid(text));
	return text;
}
