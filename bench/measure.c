/*
 * measure.c - runs the sides of one case against each other and sums up
 *
 * All sides of a case are up at the same time and take turns in short slices:
 * one slice each is a round, and the order changes from round to round, so
 * that a drift of the machine falls on all of them alike. The times reported
 * are medians over the rounds. The ratios are medians of the rounds' own
 * ratios, not ratios of the medians: slices of one round are neighbours in
 * time and share the machine's mood.
 *
 * Entry:     measure_case()
 * Not here:  talking to a side (side.c), printing (report.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/json.h"
#include "bench/measure.h"
#include "bench/side.h"

#define HOLD_BEFORE 1000
#define HOLD_MORE   99000

/* Pages that are read before the cache's memory counts: its start is paid for by then. */
#define CACHE_BEFORE 512

const char *const hold_kinds[HOLD_KINDS] = {"poll", "read", "timeout"};

const struct bench_case bench_cases[] = {
#define BENCH_CASE(case_name, function, ...) {.name = #case_name, __VA_ARGS__},
#include "bench/cases.def"
#undef BENCH_CASE
};

const unsigned int bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);

enum role {
	KERNEL,
	RINGSIDE,
	RIVAL,
	ROLES,
};

/* One case while it is measured; on the stack of measure_case(). */
struct contest {
	const struct plan *plan;
	struct result *result;
	struct side sides[ROLES];
	bool present[ROLES]; /* has been started, is to be stopped */
	bool plays[ROLES];   /* takes its turn in the rounds */
	struct sample samples[ROLES][ROUNDS_MAX];
	struct sample doubles[ROLES][ROUNDS_MAX]; /* MEASURE_SCALE: by two threads */
	unsigned int rounds;
};

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value at this share of a sorted list, between two neighbours if need be. */
static double quantile(const double *sorted, unsigned int count, double share)
{
	double at = share * (count - 1);
	unsigned int below = (unsigned int)at;
	unsigned int above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

static struct spread spread_of(double *values, unsigned int count)
{
	qsort(values, count, sizeof(values[0]), compare_doubles);
	return (struct spread){
		.median = quantile(values, count, 0.5),
		.low = quantile(values, count, 0.25),
		.high = quantile(values, count, 0.75),
	};
}

static struct timing sum_up(const struct contest *contest, enum role role)
{
	const struct sample *own = contest->samples[role];
	const struct sample *base = contest->samples[RINGSIDE];
	double ns[ROUNDS_MAX], cpu_ns[ROUNDS_MAX], ratio[ROUNDS_MAX];

	if (!contest->plays[role])
		return (struct timing){.has = false};
	for (unsigned int i = 0; i < contest->rounds; i++) {
		ns[i] = own[i].ns;
		cpu_ns[i] = own[i].cpu_ns;
		ratio[i] = own[i].ns / base[i].ns;
	}
	return (struct timing){
		.has = true,
		.ns = spread_of(ns, contest->rounds),
		.cpu_ns = spread_of(cpu_ns, contest->rounds),
		.ratio = spread_of(ratio, contest->rounds),
	};
}

static struct scaling scale_of(const struct contest *contest, enum role role)
{
	double one[ROUNDS_MAX], two[ROUNDS_MAX], ratio[ROUNDS_MAX];

	if (!contest->plays[role])
		return (struct scaling){.has = false};
	for (unsigned int i = 0; i < contest->rounds; i++) {
		one[i] = contest->samples[role][i].ns;
		two[i] = contest->doubles[role][i].ns;
		ratio[i] = one[i] / two[i];
	}
	return (struct scaling){
		.has = true,
		.one = spread_of(one, contest->rounds),
		.two = spread_of(two, contest->rounds),
		.ratio = spread_of(ratio, contest->rounds),
	};
}

/* Notes why the case has no result; the first reason stays. */
static void give_up(struct result *result, const char *who, const struct side *side)
{
	if (result->state != RESULT_MEASURED)
		return;
	result->state = side->state == SIDE_SKIPPED ? RESULT_SKIPPED : RESULT_FAILED;
	snprintf(result->why, sizeof(result->why), "%s: %s", who, side->why);
}

static const char *role_name(const struct contest *contest, enum role role)
{
	switch (role) {
	case KERNEL:
		return "kernel";
	case RINGSIDE:
		return "ringside";
	default:
		return contest->result->row->rival;
	}
}

static bool start(struct contest *contest, enum role role)
{
	const struct bench_case *row = contest->result->row;
	const struct plan *plan = contest->plan;
	struct side_config config = {
		.program = row->by_trap ? plan->program_by_trap : plan->program,
		.library = role == RINGSIDE ? plan->library : NULL,
		.case_name = role == RIVAL ? row->rival : row->name,
		.file = row->file == FILE_NONE ? "-" : plan->file,
		.stats = row->stats[0].path ? plan->stats : NULL,
		.cache = row->cache,
	};
	enum side_state state = side_start(&contest->sides[role], &config);

	contest->present[role] = true;
	contest->plays[role] = state == SIDE_RUNS;
	/* The kernel may have no io_uring for us: that is what ringside is for. */
	if (role == KERNEL && state == SIDE_REFUSED) {
		snprintf(contest->result->refusal, sizeof(contest->result->refusal), "%s",
			 contest->sides[role].why);
		return true;
	}
	if (state != SIDE_RUNS)
		give_up(contest->result, role_name(contest, role), &contest->sides[role]);
	return state == SIDE_RUNS;
}

/* One slice each, starting with another side each time and in both directions. */
static bool play_turns(struct contest *contest, unsigned int number, unsigned int threads,
		       struct sample out[ROLES])
{
	for (unsigned int i = 0; i < ROLES; i++) {
		unsigned int turn = number % 2 ? ROLES - 1 - i : i;
		enum role role = (enum role)((turn + number / 2) % ROLES);
		struct side *side = &contest->sides[role];
		uint64_t seed = (uint64_t)number * 7919;

		if (!contest->plays[role])
			continue;
		if (side_slice(side, contest->plan->slice_ms, seed, threads, &out[role]) !=
		    SIDE_RUNS) {
			give_up(contest->result, role_name(contest, role), side);
			return false;
		}
	}
	return true;
}

/* By one thread, and where the case wants it by two, in an order that changes as well. */
static bool play_round(struct contest *contest, unsigned int number, struct sample out[2][ROLES])
{
	bool scales = contest->result->row->measure == MEASURE_SCALE;

	for (unsigned int i = 0; i < 2; i++) {
		unsigned int threads = number % 2 ? 2 - i : 1 + i;

		if ((scales || threads == 1) &&
		    !play_turns(contest, number, threads, out[threads - 1]))
			return false;
	}
	return true;
}

static void play(struct contest *contest)
{
	const struct plan *plan = contest->plan;
	struct side *ringside = &contest->sides[RINGSIDE];
	struct sample samples[2][ROLES] = {0};

	/* The first round warms up and does not count. */
	if (!play_round(contest, 0, samples))
		return;
	if (contest->result->row->cache && plan->library && side_owns_file(ringside) != SIDE_RUNS) {
		give_up(contest->result, "ringside", ringside);
		return;
	}
	while (contest->rounds < plan->rounds) {
		if (contest->rounds >= ROUNDS_MIN && clock_ms() >= plan->case_end_ms)
			break;
		if (!play_round(contest, contest->rounds + 1, samples))
			return;
		for (unsigned int role = 0; role < ROLES; role++) {
			contest->samples[role][contest->rounds] = samples[0][role];
			contest->doubles[role][contest->rounds] = samples[1][role];
		}
		contest->rounds++;
	}
}

static void stop_all(struct contest *contest)
{
	for (unsigned int role = 0; role < ROLES; role++) {
		struct side *side = &contest->sides[role];

		if (contest->present[role] && side_stop(side) == SIDE_FAILED)
			give_up(contest->result, role_name(contest, (enum role)role), side);
	}
}

/* Ringside wrote them at its exit; where one is missing, that is shown as unknown. */
static void read_stats(const struct plan *plan, struct result *result)
{
	static char text[1 << 20];
	FILE *file = fopen(plan->stats, "re");
	size_t len;

	if (!file)
		return;
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	unlink(plan->stats);
	for (unsigned int i = 0; i < 3 && result->row->stats[i].path; i++)
		result->has_stat[i] =
			!json_number(text, result->row->stats[i].path, &result->stat[i]);
}

static void measure_time(const struct plan *plan, struct result *result)
{
	/* Too large for a stack, and there is one contest at a time. */
	static struct contest contest;

	memset(&contest, 0, sizeof(contest));
	contest.plan = plan;
	contest.result = result;
	if (start(&contest, KERNEL) && start(&contest, RINGSIDE) &&
	    (!result->row->rival || start(&contest, RIVAL)))
		play(&contest);
	stop_all(&contest);
	if (result->state != RESULT_MEASURED)
		return;
	result->rounds = contest.rounds;
	result->kernel = sum_up(&contest, KERNEL);
	result->ringside = sum_up(&contest, RINGSIDE);
	result->rival = sum_up(&contest, RIVAL);
	if (result->row->measure == MEASURE_SCALE) {
		result->kernel_scale = scale_of(&contest, KERNEL);
		result->ringside_scale = scale_of(&contest, RINGSIDE);
		result->rival_scale = scale_of(&contest, RIVAL);
	}
	if (result->row->stats[0].path && plan->library)
		read_stats(plan, result);
}

/* What the later ones of many waiting requests cost; the first ones pay for the start. */
static void measure_hold(const struct plan *plan, struct result *result)
{
	struct side_config config = {
		.program = plan->program,
		.library = plan->library,
		.case_name = result->row->name,
		.file = "-",
	};

	for (unsigned int i = 0; i < HOLD_KINDS; i++) {
		struct side side;
		uint64_t before = 0, after = 0;

		if (side_start(&side, &config) == SIDE_RUNS &&
		    side_hold(&side, hold_kinds[i], HOLD_BEFORE, &before) == SIDE_RUNS)
			side_hold(&side, hold_kinds[i], HOLD_MORE, &after);
		if (side_stop(&side) != SIDE_RUNS) {
			give_up(result, hold_kinds[i], &side);
			return;
		}
		result->kind_bytes[i] = ((double)after - (double)before) / HOLD_MORE;
		if (i == 0 || result->kind_bytes[i] > result->bytes)
			result->bytes = result->kind_bytes[i];
	}
}

/* What the process grows by while the cache takes in the file, beside the file's own pages. */
static void measure_cache(const struct plan *plan, struct result *result)
{
	const struct bench_case *row = result->row;
	uint64_t pages = row->span / BENCH_PAGE, before = 0, after = 0;
	struct side_config config = {
		.program = plan->program,
		.library = plan->library,
		.case_name = row->name,
		.file = plan->file,
		.cache = row->cache,
	};
	double bytes;
	struct side side;

	if (side_start(&side, &config) == SIDE_RUNS &&
	    side_hold(&side, "pages", CACHE_BEFORE, &before) == SIDE_RUNS &&
	    side_hold(&side, "pages", pages, &after) == SIDE_RUNS && plan->library)
		side_owns_file(&side);
	if (side_stop(&side) != SIDE_RUNS) {
		give_up(result, "ringside", &side);
		return;
	}
	bytes = (double)(pages - CACHE_BEFORE) * BENCH_PAGE;
	result->bytes = (double)after - (double)before - bytes;
	result->share = 100 * result->bytes / bytes;
}

void measure_case(const struct bench_case *row, const struct plan *plan, struct result *result)
{
	*result = (struct result){.row = row};
	if (row->measure == MEASURE_HOLD)
		measure_hold(plan, result);
	else if (row->measure == MEASURE_CACHE)
		measure_cache(plan, result);
	else
		measure_time(plan, result);
}
